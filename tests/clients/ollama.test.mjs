// The unmodified ollama client against the demo model, through the gateway. The key travels in a header,
// as the client's documentation shows for a server behind a proxy.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Ollama } from 'ollama';
import { CALLER, Gateway } from './gateway.mjs';

const MODEL = 'sallyport-demo';
const messages = [{ role: 'user', content: 'Hello there' }];
let gateway;
let key;

const client = (headers) => new Ollama({ host: gateway.url, headers });
const bearer = () => client({ Authorization: `Bearer ${key.key}` });

before(async () => {
    gateway = await Gateway.start();
    key = gateway.key('ollama-test', ...CALLER);
});
after(() => gateway?.stop());

test('list answers the models', async () => {
    const list = await bearer().list();
    assert.ok(list.models.some((model) => model.name === MODEL), JSON.stringify(list));
});

for (const [name, header] of [
    ['Authorization', (secret) => ({ Authorization: `Bearer ${secret}` })],
    ['X-API-Key', (secret) => ({ 'X-API-Key': secret })],
    ['api-key', (secret) => ({ 'api-key': secret })],
]) {
    test(`the key is taken from ${name}`, async () => {
        const answer = await client(header(key.key)).chat({ model: MODEL, messages });
        assert.match(answer.message.content, /demo/i);
    });
}

test('a chat is answered, plain and streamed, with the same text', async () => {
    const ollama = bearer();
    const plain = await ollama.chat({ model: MODEL, messages });
    assert.equal(plain.done, true);
    assert.match(plain.message.content, /Hello there/);
    let text = '';
    let pieces = 0;
    let done = false;
    for await (const part of await ollama.chat({ model: MODEL, messages, stream: true })) {
        text += part.message.content;
        pieces++;
        done = part.done;
    }
    assert.ok(pieces > 1 && done);
    assert.equal(text, plain.message.content);
});

test('generate is answered, plain and streamed', async () => {
    const ollama = bearer();
    const plain = await ollama.generate({ model: MODEL, prompt: 'Once upon' });
    assert.match(plain.response, /demo/i);
    let text = '';
    for await (const part of await ollama.generate({ model: MODEL, prompt: 'Once upon', stream: true })) text += part.response;
    assert.equal(text, plain.response);
});

test('embed answers one vector for each input', async () => {
    const answer = await bearer().embed({ model: MODEL, input: ['one', 'two'] });
    assert.equal(answer.embeddings.length, 2);
    assert.ok(answer.embeddings[0].length > 0);
});

test('show, ps and version are answered', async () => {
    const ollama = bearer();
    assert.ok(await ollama.show({ model: MODEL }));
    assert.ok(Array.isArray((await ollama.ps()).models));
    assert.ok((await ollama.version()).version);
});

test('without a key the client reads our error', async () => {
    await assert.rejects(client({}).list(), (error) => {
        assert.equal(error.status_code, 401);
        assert.equal(typeof error.error, 'string');
        return true;
    });
});

for (const [name, call] of [
    ['pull', (ollama) => ollama.pull({ model: 'evil' })],
    ['push', (ollama) => ollama.push({ model: 'evil' })],
    ['delete', (ollama) => ollama.delete({ model: 'evil' })],
    ['copy', (ollama) => ollama.copy({ source: 'a', destination: 'b' })],
    ['create', (ollama) => ollama.create({ model: 'evil', from: 'a' })],
]) {
    test(`${name} is refused`, async () => {
        await assert.rejects(call(bearer()), (error) => {
            assert.equal(error.status_code, 403);
            return true;
        });
    });
}

test('an aborted stream does not disturb the next request', async () => {
    const ollama = bearer();
    const stream = await ollama.chat({ model: 'sallyport-demo-long', messages, stream: true });
    await assert.rejects(async () => {
        for await (const part of stream) {
            assert.ok(part.message);
            stream.abort();
        }
    }, { name: 'AbortError' });
    const answer = await ollama.chat({ model: MODEL, messages });
    assert.match(answer.message.content, /demo/i);
});

test('a revoked key opens nothing once revoke has returned', async () => {
    const short = gateway.key('short', ...CALLER);
    const ollama = client({ 'X-API-Key': short.key });
    await ollama.list();
    gateway.revoke(short.id);
    await assert.rejects(ollama.list(), (error) => error.status_code === 401);
});
