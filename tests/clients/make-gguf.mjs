// Writes a tiny language model with random weights as a GGUF file, so that the tests can drive a real
// inference engine without downloading anything. The same seed gives the same bytes.
//
// The one hard problem: random weights choose random tokens, and the byte tokens that every vocabulary
// of this kind must have would make the text invalid UTF-8. So dimension 0 of the residual stream is a
// constant that no layer writes to, and the output matrix turns it into a penalty for all tokens that
// are not words.
import { writeFileSync } from 'node:fs';

const WIDTH = 32;
const HEADS = 2;
const HIDDEN = 64;
const LAYERS = 2;
const CONTEXT = 2048;
const ALIGNMENT = 32;
const PENALTY = -40;

const WORDS = ('▁the ▁gate ▁opens ▁when ▁a ▁key ▁fits ▁and ▁each ▁small ▁model ▁answers ▁in ▁words ▁that '
    + '▁mean ▁nothing ▁at ▁all ▁but ▁arrive ▁one ▁by ▁through ▁door ▁of ▁stone ▁over ▁river ▁while '
    + '▁night ▁watch ▁keeps ▁count ▁, ▁. ▁bread ▁salt ▁iron ▁rope ▁lamp ▁wall ▁tower ▁bell').split(' ');

const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, byte: 6 };
const VALUE_TYPE = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 };

function vocabulary() {
    const tokens = [
        { text: '<unk>', score: 0, type: TOKEN_TYPE.unknown },
        { text: '<s>', score: 0, type: TOKEN_TYPE.control },
        { text: '</s>', score: 0, type: TOKEN_TYPE.control },
    ];
    for (let byte = 0; byte < 256; byte++) {
        const hex = byte.toString(16).toUpperCase().padStart(2, '0');
        tokens.push({ text: `<0x${hex}>`, score: 0, type: TOKEN_TYPE.byte });
    }
    WORDS.forEach((text, i) => tokens.push({ text, score: -i, type: TOKEN_TYPE.normal, word: true }));
    return tokens;
}

// A small multiplicative generator (mulberry32): good enough to make weights that differ.
function generator(seed) {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), state | 1);
        mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
}

class Writer {
    constructor() {
        this.parts = [];
        this.length = 0;
    }
    bytes(buffer) {
        this.parts.push(buffer);
        this.length += buffer.length;
    }
    uint32(value) {
        const buffer = Buffer.alloc(4);
        buffer.writeUInt32LE(value);
        this.bytes(buffer);
    }
    uint64(value) {
        const buffer = Buffer.alloc(8);
        buffer.writeBigUInt64LE(BigInt(value));
        this.bytes(buffer);
    }
    float32(value) {
        const buffer = Buffer.alloc(4);
        buffer.writeFloatLE(value);
        this.bytes(buffer);
    }
    string(text) {
        const buffer = Buffer.from(text, 'utf8');
        this.uint64(buffer.length);
        this.bytes(buffer);
    }
    value(type, value) {
        if (type === 'string') this.string(value);
        else if (type === 'float32') this.float32(value);
        else if (type === 'bool') this.bytes(Buffer.from([value ? 1 : 0]));
        else this.uint32(value >>> 0);
    }
    pair(key, type, value) {
        this.string(key);
        this.uint32(VALUE_TYPE[type]);
        this.value(type, value);
    }
    list(key, type, values) {
        this.string(key);
        this.uint32(VALUE_TYPE.array);
        this.uint32(VALUE_TYPE[type]);
        this.uint64(values.length);
        for (const value of values) this.value(type, value);
    }
    pad() {
        const rest = this.length % ALIGNMENT;
        if (rest) this.bytes(Buffer.alloc(ALIGNMENT - rest));
    }
    finish() {
        return Buffer.concat(this.parts);
    }
}

// Row-major, `width` inputs to `height` outputs. `silent` keeps output row 0 at zero: what writes into
// the residual stream leaves its constant dimension alone.
function matrix(random, width, height, { silent = false, scale = 1 / Math.sqrt(width) } = {}) {
    const values = new Float32Array(width * height);
    for (let i = 0; i < values.length; i++) values[i] = (random() * 2 - 1) * scale;
    if (silent) values.fill(0, 0, width);
    return { shape: [width, height], values };
}

const ones = (width) => ({ shape: [width], values: new Float32Array(width).fill(1) });

function tensors(tokens, random) {
    const result = [];
    const add = (name, tensor) => result.push({ name, ...tensor });

    const embedding = matrix(random, WIDTH, tokens.length, { scale: 1 });
    const output = matrix(random, WIDTH, tokens.length, { scale: 1 });
    tokens.forEach((token, i) => {
        embedding.values[i * WIDTH] = 4;
        output.values[i * WIDTH] = token.word ? 0 : PENALTY;
    });
    add('token_embd.weight', embedding);
    add('output_norm.weight', ones(WIDTH));
    add('output.weight', output);
    for (let layer = 0; layer < LAYERS; layer++) {
        const name = (part) => `blk.${layer}.${part}.weight`;
        add(name('attn_norm'), ones(WIDTH));
        add(name('attn_q'), matrix(random, WIDTH, WIDTH));
        add(name('attn_k'), matrix(random, WIDTH, WIDTH));
        add(name('attn_v'), matrix(random, WIDTH, WIDTH));
        add(name('attn_output'), matrix(random, WIDTH, WIDTH, { silent: true }));
        add(name('ffn_norm'), ones(WIDTH));
        add(name('ffn_gate'), matrix(random, WIDTH, HIDDEN));
        add(name('ffn_up'), matrix(random, WIDTH, HIDDEN));
        add(name('ffn_down'), matrix(random, HIDDEN, WIDTH, { silent: true }));
    }
    return result;
}

function metadata(writer, tokens) {
    const pairs = [
        ['pair', 'general.architecture', 'string', 'llama'],
        ['pair', 'general.name', 'string', 'tiny random model'],
        ['pair', 'general.alignment', 'uint32', ALIGNMENT],
        ['pair', 'llama.vocab_size', 'uint32', tokens.length],
        ['pair', 'llama.context_length', 'uint32', CONTEXT],
        ['pair', 'llama.embedding_length', 'uint32', WIDTH],
        ['pair', 'llama.block_count', 'uint32', LAYERS],
        ['pair', 'llama.feed_forward_length', 'uint32', HIDDEN],
        ['pair', 'llama.rope.dimension_count', 'uint32', WIDTH / HEADS],
        ['pair', 'llama.attention.head_count', 'uint32', HEADS],
        ['pair', 'llama.attention.head_count_kv', 'uint32', HEADS],
        ['pair', 'llama.attention.layer_norm_rms_epsilon', 'float32', 1e-5],
        ['pair', 'tokenizer.ggml.model', 'string', 'llama'],
        ['list', 'tokenizer.ggml.tokens', 'string', tokens.map((token) => token.text)],
        ['list', 'tokenizer.ggml.scores', 'float32', tokens.map((token) => token.score)],
        ['list', 'tokenizer.ggml.token_type', 'int32', tokens.map((token) => token.type)],
        ['pair', 'tokenizer.ggml.unknown_token_id', 'uint32', 0],
        ['pair', 'tokenizer.ggml.bos_token_id', 'uint32', 1],
        ['pair', 'tokenizer.ggml.eos_token_id', 'uint32', 2],
        ['pair', 'tokenizer.ggml.add_bos_token', 'bool', true],
    ];
    writer.uint64(pairs.length);
    for (const [method, ...rest] of pairs) writer[method](...rest);
}

/** Writes the model to `path`; returns its size in bytes. */
export function makeGguf(path, seed = 20240501) {
    const tokens = vocabulary();
    const list = tensors(tokens, generator(seed));
    const writer = new Writer();
    writer.bytes(Buffer.from('GGUF'));
    writer.uint32(3);
    writer.uint64(list.length);
    metadata(writer, tokens);
    let offset = 0;
    for (const tensor of list) {
        writer.string(tensor.name);
        writer.uint32(tensor.shape.length);
        for (const side of tensor.shape) writer.uint64(side);
        writer.uint32(0); // F32
        writer.uint64(offset);
        offset += Math.ceil((tensor.values.length * 4) / ALIGNMENT) * ALIGNMENT;
    }
    writer.pad();
    for (const tensor of list) {
        writer.bytes(Buffer.from(tensor.values.buffer));
        writer.pad();
    }
    const file = writer.finish();
    writeFileSync(path, file);
    return file.length;
}
