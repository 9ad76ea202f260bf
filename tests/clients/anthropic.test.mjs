// The unmodified Anthropic client against the demo model, through the gateway.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { CALLER, Gateway } from './gateway.mjs';

const request = { model: 'sallyport-demo', max_tokens: 100, messages: [{ role: 'user', content: 'Hello there' }] };
let gateway;
let key;

const client = (apiKey) => new Anthropic({ baseURL: gateway.url, apiKey, maxRetries: 0 });

before(async () => {
    gateway = await Gateway.start();
    key = gateway.key('anthropic-test', ...CALLER);
});
after(() => gateway?.stop());

test('a message is answered', async () => {
    const answer = await client(key.key).messages.create(request);
    assert.equal(answer.type, 'message');
    assert.match(answer.content[0].text, /demo/i);
    assert.ok(answer.usage.output_tokens > 0);
});

test('a streamed message is the same text', async () => {
    const anthropic = client(key.key);
    const plain = await anthropic.messages.create(request);
    const stream = anthropic.messages.stream(request);
    let pieces = 0;
    stream.on('text', () => { pieces++; });
    const final = await stream.finalMessage();
    assert.ok(pieces > 1);
    assert.equal(final.content[0].text, plain.content[0].text);
    assert.equal(final.stop_reason, 'end_turn');
});

test('tokens are counted', async () => {
    const { model, messages } = request;
    const count = await client(key.key).messages.countTokens({ model, messages });
    assert.ok(count.input_tokens > 0);
});

test('a wrong key is an AuthenticationError', async () => {
    await assert.rejects(client('sp_wrong').messages.create(request), (error) => {
        assert.ok(error instanceof Anthropic.AuthenticationError, error.constructor.name);
        assert.equal(error.error.error.type, 'authentication_error');
        return true;
    });
});

test('a path that is not on the list is refused', async () => {
    await assert.rejects(client(key.key).messages.batches.list(), (error) => {
        assert.ok(error instanceof Anthropic.PermissionDeniedError, error.constructor.name);
        return true;
    });
});
