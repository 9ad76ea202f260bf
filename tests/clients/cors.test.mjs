// The unmodified clients as a web page would use them: what each of them sends is asked for in a
// preflight first, exactly as a browser asks, and answers are readable for the page.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { CALLER, Gateway } from './gateway.mjs';

const PAGE = 'https://app.example.com';
const MODEL = 'sallyport-demo';
const messages = [{ role: 'user', content: 'Hello there' }];
// What a browser sends without asking (Fetch, "CORS-safelisted request-header").
const SAFE = new Set(['accept', 'accept-language', 'content-language']);
let gateway;
let key;
let asked;

process.env.CORS_ALLOW_ORIGINS = PAGE;
before(async () => {
    gateway = await Gateway.start();
    key = gateway.key('cors-test', ...CALLER).key;
});
after(() => gateway?.stop());

// Bare, for fetch lets nobody else set these fields.
const preflight = (url, method, names) => new Promise((resolve, reject) => {
    const headers = {
        origin: PAGE,
        'access-control-request-method': method,
        'access-control-request-headers': names.join(','),
    };
    request(url, { method: 'OPTIONS', headers }, (answer) => {
        answer.resume();
        answer.on('end', () => resolve(answer));
    }).on('error', reject).end();
});

// fetch with the checks of a browser.
async function fromPage(url, init) {
    const headers = new Headers(init.headers);
    const names = [...headers.keys()].filter((name) => !SAFE.has(name)).sort();
    const leave = await preflight(url, init.method, names);
    assert.equal(leave.statusCode, 204, `${init.method} with ${names} is not allowed`);
    assert.equal(leave.headers['access-control-allow-origin'], PAGE);
    const allowed = leave.headers['access-control-allow-headers'].toLowerCase().split(/, */);
    assert.deepEqual(names.filter((name) => !allowed.includes(name)), []);
    asked.push(...names);
    headers.set('origin', PAGE);
    const answer = await fetch(url, { ...init, headers });
    assert.equal(answer.headers.get('access-control-allow-origin'), PAGE);
    return answer;
}

const browser = (apiKey = key) => ({
    apiKey, maxRetries: 0, timeout: 20_000, dangerouslyAllowBrowser: true, fetch: fromPage,
});

test('the OpenAI client works in a page, streams and helpers too', async () => {
    asked = [];
    const client = new OpenAI({ ...browser(), baseURL: `${gateway.url}/v1`, organization: 'o', project: 'p' });
    const answer = await client.chat.completions.create({ model: MODEL, messages });
    assert.match(answer.choices[0].message.content, /demo/i);
    for await (const chunk of await client.chat.completions.create({ model: MODEL, messages, stream: true })) {
        assert.equal(chunk.object, 'chat.completion.chunk');
    }
    assert.match(await client.chat.completions.stream({ model: MODEL, messages }).finalContent(), /demo/i);
    await client.models.list();
    for (const name of ['authorization', 'openai-organization', 'x-stainless-os', 'x-stainless-helper-method']) {
        assert.ok(asked.includes(name), `${name} is not among ${asked}`);
    }
});

test('the Anthropic client works in a page', async () => {
    asked = [];
    const client = new Anthropic({ ...browser(), baseURL: gateway.url });
    const call = { model: MODEL, max_tokens: 64, messages };
    assert.match((await client.messages.create(call)).content[0].text, /demo/i);
    assert.match(await client.messages.stream(call).finalText(), /demo/i);
    for (const name of ['anthropic-version', 'x-stainless-lang', 'anthropic-dangerous-direct-browser-access']) {
        assert.ok(asked.includes(name), `${name} is not among ${asked}`);
    }
});

test('a page can read why it was refused', async () => {
    asked = [];
    const client = new OpenAI({ ...browser('sp_wrong'), baseURL: `${gateway.url}/v1` });
    await assert.rejects(client.models.list(), (error) => error instanceof OpenAI.AuthenticationError);
});
