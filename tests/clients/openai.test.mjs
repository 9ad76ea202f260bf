// The unmodified openai client against the demo model, through the gateway.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { CALLER, Gateway } from './gateway.mjs';

const MODEL = 'sallyport-demo';
const messages = [{ role: 'user', content: 'Hello there' }];
let gateway;
let key;

const client = (apiKey) => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 });

before(async () => {
    gateway = await Gateway.start();
    key = gateway.key('openai-test', ...CALLER);
});
after(() => gateway?.stop());

test('models.list answers a list that holds the model', async () => {
    const list = await client(key.key).models.list();
    assert.ok(list.data.some((model) => model.id === MODEL), JSON.stringify(list.data));
});

test('a chat is answered, and says that it is a demo', async () => {
    const answer = await client(key.key).chat.completions.create({ model: MODEL, messages });
    assert.equal(answer.object, 'chat.completion');
    assert.match(answer.choices[0].message.content, /demo/i);
    assert.match(answer.choices[0].message.content, /Hello there/);
    assert.ok(answer.usage.total_tokens > 0);
});

test('a streamed chat arrives in pieces and ends with a reason', async () => {
    const stream = await client(key.key).chat.completions.create({ model: MODEL, messages, stream: true });
    const pieces = [];
    let reason = null;
    for await (const chunk of stream) {
        if (chunk.choices[0]?.delta?.content) pieces.push(chunk.choices[0].delta.content);
        reason = chunk.choices[0]?.finish_reason ?? reason;
    }
    assert.ok(pieces.length > 1, 'more than one piece');
    assert.match(pieces.join(''), /demo/i);
    assert.equal(reason, 'stop');
});

test('usage arrives at the end of a stream that asks for it', async () => {
    const stream = await client(key.key).chat.completions.create({
        model: MODEL, messages, stream: true, stream_options: { include_usage: true },
    });
    let usage = null;
    for await (const chunk of stream) usage = chunk.usage ?? usage;
    assert.ok(usage?.total_tokens > 0);
});

test('the plain and the streamed answer are the same text', async () => {
    const openai = client(key.key);
    const plain = await openai.chat.completions.create({ model: MODEL, messages });
    let streamed = '';
    for await (const chunk of await openai.chat.completions.create({ model: MODEL, messages, stream: true })) {
        streamed += chunk.choices[0]?.delta?.content ?? '';
    }
    assert.equal(streamed, plain.choices[0].message.content);
});

test('a completion is answered, plain and streamed', async () => {
    const openai = client(key.key);
    const plain = await openai.completions.create({ model: MODEL, prompt: 'Once upon' });
    assert.match(plain.choices[0].text, /demo/i);
    let streamed = '';
    for await (const chunk of await openai.completions.create({ model: MODEL, prompt: 'Once upon', stream: true })) {
        streamed += chunk.choices[0]?.text ?? '';
    }
    assert.equal(streamed, plain.choices[0].text);
});

test('embeddings come one for each input, in base64 and as numbers', async () => {
    const openai = client(key.key);
    const list = await openai.embeddings.create({ model: MODEL, input: ['one', 'two'] });
    assert.equal(list.data.length, 2);
    assert.ok(list.data.every((item) => item.embedding.length > 0 && item.embedding.every(Number.isFinite)));
    const numbers = await openai.embeddings.create({ model: MODEL, input: 'one', encoding_format: 'float' });
    assert.equal(numbers.data[0].embedding.length, list.data[0].embedding.length);
});

test('a wrong key is an AuthenticationError with our code', async () => {
    await assert.rejects(client('sp_wrong').models.list(), (error) => {
        assert.ok(error instanceof OpenAI.AuthenticationError, error.constructor.name);
        assert.equal(error.status, 401);
        assert.equal(error.code, 'AUTHENTICATION_FAILED');
        assert.equal(error.type, 'authentication_error');
        assert.ok(error.headers.get('x-request-id'));
        return true;
    });
});

test('a model that the key may not use is a NotFoundError', async () => {
    const narrow = gateway.key('narrow', ...CALLER, '--models', 'another-model');
    await assert.rejects(client(narrow.key).chat.completions.create({ model: MODEL, messages }), (error) => {
        assert.ok(error instanceof OpenAI.NotFoundError, error.constructor.name);
        return true;
    });
});

test('streaming without the right is a PermissionDeniedError, plain is fine', async () => {
    const plain = gateway.key('plain', '--permissions', 'read_models,run_inference');
    await client(plain.key).chat.completions.create({ model: MODEL, messages });
    await assert.rejects(client(plain.key).chat.completions.create({ model: MODEL, messages, stream: true }), (error) => {
        assert.ok(error instanceof OpenAI.PermissionDeniedError, error.constructor.name);
        return true;
    });
});

test('a path that no client should reach is refused', async () => {
    await assert.rejects(client(key.key).files.list(), (error) => {
        assert.ok(error instanceof OpenAI.PermissionDeniedError, error.constructor.name);
        return true;
    });
});

test('a bad request names what was wrong', async () => {
    await assert.rejects(client(key.key).chat.completions.create({ messages }), (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError, error.constructor.name);
        assert.equal(error.param, 'model');
        return true;
    });
});

test('a revoked key opens nothing once revoke has returned', async () => {
    const short = gateway.key('short', ...CALLER);
    const openai = client(short.key);
    await openai.models.list();
    gateway.revoke(short.id);
    await assert.rejects(openai.models.list(), (error) => error instanceof OpenAI.AuthenticationError);
});

test('twenty chats at once are each answered with their own words', async () => {
    const openai = client(key.key);
    const words = Array.from({ length: 20 }, (_, i) => `word-${i}-end`);
    const answers = await Promise.all(words.map((content) => openai.chat.completions.create({
        model: MODEL, messages: [{ role: 'user', content }],
    })));
    answers.forEach((answer, i) => assert.ok(answer.choices[0].message.content.includes(words[i])));
});
