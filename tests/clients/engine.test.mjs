// The unmodified openai and ollama clients, through the gateway, to a model that really runs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { CALLER, Engine, Gateway, eventually } from './gateway.mjs';

const MODEL = 'tiny';
const messages = [{ role: 'user', content: 'the gate opens' }];
let engine;
let gateway;
let key;

const openai = () => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: key.key, maxRetries: 0 });
const ollama = () => new Ollama({ host: gateway.url, headers: { Authorization: `Bearer ${key.key}` } });

before(async () => {
    engine = await Engine.start();
    // Ollama serves both protocols, so one upstream of that kind lets both clients in.
    gateway = await Gateway.start({ upstreams: [`name = "engine"\nkind = "ollama"\nurl = "${engine.url}"`] });
    key = gateway.key('engine-test', ...CALLER);
});
after(async () => {
    try {
        await gateway?.stop();
    } finally {
        await engine?.stop();
    }
});

test('both clients see the model', async () => {
    const list = await openai().models.list();
    assert.deepEqual(list.data.map((model) => model.id), [MODEL]);
    const tags = await ollama().list();
    assert.deepEqual(tags.models.map((model) => model.name), [MODEL]);
});

test('the model speaks to the openai client, plain and streamed', async () => {
    const plain = await openai().chat.completions.create({ model: MODEL, messages, max_tokens: 12 });
    assert.equal(plain.usage.completion_tokens, 12);
    assert.ok(plain.choices[0].message.content.split(' ').length > 5);
    let streamed = '';
    let pieces = 0;
    const stream = await openai().chat.completions.create({ model: MODEL, messages, max_tokens: 12, stream: true });
    for await (const chunk of stream) {
        streamed += chunk.choices[0].delta.content ?? '';
        pieces++;
    }
    assert.ok(pieces > 5);
    assert.equal(streamed, plain.choices[0].message.content);
});

test('the model speaks to the ollama client, plain and streamed', async () => {
    const options = { num_predict: 12 };
    const plain = await ollama().chat({ model: MODEL, messages, options });
    assert.equal(plain.eval_count, 12);
    let streamed = '';
    let last;
    for await (const part of await ollama().chat({ model: MODEL, messages, options, stream: true })) {
        streamed += part.message.content;
        last = part;
    }
    assert.equal(last.done, true);
    assert.equal(streamed, plain.message.content);
});

test('a client that leaves stops the generation', async () => {
    const aborted = await engine.aborted();
    const stream = await openai().chat.completions.create({ model: MODEL, messages, max_tokens: 500, stream: true });
    for await (const chunk of stream) {
        assert.ok(chunk);
        stream.controller.abort();
        break;
    }
    await eventually(async () => (await engine.aborted()) === aborted + 1);
});

test('the engine never sees a request without a key', async () => {
    await assert.rejects(new Ollama({ host: gateway.url }).list(), (error) => error.status_code === 401);
});
