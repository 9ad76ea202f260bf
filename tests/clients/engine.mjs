// A real inference engine behind a small HTTP server, so that the clients' tests cross the gateway in
// front of tokens that a model really makes. Speaks what the tests need of two protocols: OpenAI's
// /v1/models and /v1/chat/completions, Ollama's /api/tags, /api/version and /api/chat.
//
//   node engine.mjs MODEL.gguf     prints "engine on PORT"; ends with its standard input
//
// One sequence, so requests take turns. A client that leaves stops its generation: `GET /aborted` says
// how often that happened.
import { createServer } from 'node:http';
import { getLlama, LlamaCompletion } from 'node-llama-cpp';

const NAME = 'tiny';
const PREDICT_DEFAULT = 16;
const PREDICT_MAX = 512;

let aborted = 0;
let turn = Promise.resolve();

async function openModel(path) {
    const llama = await getLlama({ build: 'never', gpu: false, logLevel: 'error', maxThreads: 1 });
    const model = await llama.loadModel({ modelPath: path });
    const context = await model.createContext({ contextSize: 1024, sequences: 1, threads: 1 });
    return new LlamaCompletion({ contextSequence: context.getSequence() });
}

// Runs one generation after the ones before it; calls onText for each piece as it is made.
function generate(completion, prompt, { predict, signal, onText }) {
    const mine = turn.then(async () => {
        let tokens = 0;
        const result = await completion.generateCompletionWithMeta(prompt, {
            maxTokens: Math.min(predict ?? PREDICT_DEFAULT, PREDICT_MAX),
            temperature: 0.9,
            seed: 7,
            signal,
            stopOnAbortSignal: true,
            onToken: (list) => { tokens += list.length; },
            onTextChunk: onText,
        });
        return { text: result.response, tokens, reason: result.metadata.stopReason };
    });
    turn = mine.catch(() => {});
    return mine;
}

const promptOf = (messages) => messages.map((message) => `${message.role} : ${message.content}`).join(' ');

async function bodyOf(request) {
    const parts = [];
    for await (const part of request) parts.push(part);
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
}

function sendJson(response, value, status = 200) {
    const text = JSON.stringify(value);
    response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
    response.end(text);
}

// Aborts when the client has gone before its answer was complete.
function watch(response) {
    const controller = new AbortController();
    response.on('close', () => {
        if (response.writableEnded) return;
        aborted++;
        controller.abort();
    });
    return controller.signal;
}

async function openaiChat(completion, request, response) {
    const body = await bodyOf(request);
    const prompt = promptOf(body.messages);
    const created = Math.floor(Date.now() / 1000);
    const id = 'chatcmpl-engine';
    const options = { predict: body.max_tokens ?? body.max_completion_tokens, signal: watch(response) };
    if (!body.stream) {
        const { text, tokens } = await generate(completion, prompt, options);
        const message = { role: 'assistant', content: text };
        return sendJson(response, {
            id, object: 'chat.completion', created, model: body.model,
            choices: [{ index: 0, message, finish_reason: 'length' }],
            usage: { prompt_tokens: 1, completion_tokens: tokens, total_tokens: tokens + 1 },
        });
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const event = (delta, finish_reason = null) => response.write('data: ' + JSON.stringify({
        id, object: 'chat.completion.chunk', created, model: body.model,
        choices: [{ index: 0, delta, finish_reason }],
    }) + '\n\n');
    event({ role: 'assistant', content: '' });
    await generate(completion, prompt, { ...options, onText: (content) => event({ content }) });
    event({}, 'length');
    return response.end('data: [DONE]\n\n');
}

async function ollamaChat(completion, request, response) {
    const body = await bodyOf(request);
    const prompt = promptOf(body.messages);
    const line = (content, rest) => ({
        model: body.model, created_at: new Date().toISOString(),
        message: { role: 'assistant', content }, ...rest,
    });
    const options = { predict: body.options?.num_predict, signal: watch(response) };
    if (body.stream === false) {
        const { text, tokens } = await generate(completion, prompt, options);
        return sendJson(response, line(text, { done: true, done_reason: 'length', eval_count: tokens }));
    }
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    const write = (value) => response.write(JSON.stringify(value) + '\n');
    const { tokens } = await generate(completion, prompt, {
        ...options, onText: (content) => write(line(content, { done: false })),
    });
    write(line('', { done: true, done_reason: 'length', eval_count: tokens }));
    return response.end();
}

const routes = {
    'GET /v1/models': (completion, request, response) => sendJson(response, {
        object: 'list', data: [{ id: NAME, object: 'model', created: 0, owned_by: 'engine' }],
    }),
    'GET /api/tags': (completion, request, response) => sendJson(response, {
        models: [{
            name: NAME, model: NAME, modified_at: '2024-01-01T00:00:00Z', size: 1, digest: '0'.repeat(64),
            details: { format: 'gguf', family: 'llama', parameter_size: '1K', quantization_level: 'F32' },
        }],
    }),
    'GET /api/version': (completion, request, response) => sendJson(response, { version: '0.0.0-engine' }),
    'GET /aborted': (completion, request, response) => sendJson(response, { aborted }),
    'POST /v1/chat/completions': openaiChat,
    'POST /api/chat': ollamaChat,
};

const completion = await openModel(process.argv[2]);
const server = createServer(async (request, response) => {
    const route = routes[`${request.method} ${request.url}`];
    if (!route) return sendJson(response, { error: { message: 'no such route', type: 'not_found_error' } }, 404);
    try {
        return await route(completion, request, response);
    } catch (error) {
        if (!response.headersSent) return sendJson(response, { error: { message: String(error) } }, 500);
        return response.destroy();
    }
});
server.listen(0, '127.0.0.1', () => console.log(`engine on ${server.address().port}`));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
