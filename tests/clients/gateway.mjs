// Starts the gateway and the engine for the clients' tests, and stops them again. A gateway that was
// built with sanitizers and has something to say fails the test that stops it.
import { spawn, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const TOP = resolve(HERE, '../..');
const START_MS = 30_000;
const STOP_MS = 30_000;

/** The rights of an ordinary caller, as arguments of `key create`. */
export const CALLER = ['--permissions', 'read_models,run_inference,use_streaming'];

export const BINARY = resolve(process.env.SALLYPORT_BINARY ?? join(TOP, 'build-test/sallyport'));
if (!existsSync(BINARY)) throw new Error(`no gateway at ${BINARY}: build it first, or set SALLYPORT_BINARY`);

// The first line of a stream that matches, or an error with everything that was said.
function lineOf(stream, pattern, what) {
    return new Promise((resolve_, reject) => {
        const said = [];
        const timer = setTimeout(() => reject(new Error(`${what}: nothing matched ${pattern} in time:\n${said.join('\n')}`)), START_MS);
        const lines = createInterface({ input: stream });
        lines.on('line', (line) => {
            said.push(line);
            const match = pattern.exec(line);
            if (match) {
                clearTimeout(timer);
                resolve_(match);
            }
        });
        lines.on('close', () => {
            clearTimeout(timer);
            reject(new Error(`${what} ended too early:\n${said.join('\n')}`));
        });
    });
}

const exited = (child) => new Promise((resolve_) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve_();
    else child.once('exit', () => resolve_());
});

async function stop(child) {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await exited(child);
    clearTimeout(timer);
}

export class Gateway {
    static async start({ upstreams = ['name = "demo"\nkind = "demo"\nurl = "demo:"'], extra = '' } = {}) {
        const gateway = new Gateway();
        gateway.folder = mkdtempSync(join(tmpdir(), 'sallyport-clients-'));
        gateway.config = join(gateway.folder, 'sallyport.toml');
        writeFileSync(gateway.config, [
            '[server]', 'listen = ["127.0.0.1:0"]', 'workers = 2',
            '[security]', `jwt_secret = "${randomBytes(32).toString('hex')}"`,
            '[limits]', 'ip = "100000/second"', 'ip_burst = 100000', 'key = "100000/second"', 'key_burst = 100000',
            '[store]', `url = "sqlite:${join(gateway.folder, 'store.db')}"`,
            '[log]', `access = "${join(gateway.folder, 'access.log')}"`, `app = "${join(gateway.folder, 'app.log')}"`,
            `audit = "${join(gateway.folder, 'audit.log')}"`,
            extra,
            ...upstreams.map((upstream) => `[[upstream]]\n${upstream}`), '',
        ].join('\n'));
        await gateway.run();
        return gateway;
    }

    async run() {
        this.said = '';
        this.child = spawn(BINARY, ['serve', '--config', this.config], {
            cwd: this.folder,
            stdio: ['ignore', 'ignore', 'pipe'],
            env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=1:exitcode=99', UBSAN_OPTIONS: 'print_stacktrace=1' },
        });
        this.child.stderr.on('data', (bytes) => { this.said += bytes; });
        const [, port] = await lineOf(this.child.stderr, /listening on 127\.0\.0\.1:(\d+)/, 'the gateway');
        this.port = Number(port);
        this.url = `http://127.0.0.1:${this.port}`;
    }

    command(...args) {
        return execFileSync(BINARY, [...args, '--config', this.config], { cwd: this.folder, encoding: 'utf8' });
    }

    key(name, ...args) {
        return JSON.parse(this.command('key', 'create', '--name', name, '--json', ...args));
    }

    revoke(id) {
        this.command('key', 'revoke', id);
    }

    /** The access log's lines as objects. */
    accessLog() {
        const path = join(this.folder, 'access.log');
        if (!existsSync(path)) return [];
        return readFileSync(path, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
    }

    async stop() {
        await stop(this.child);
        const { exitCode, signalCode } = this.child;
        const report = /ERROR: \w+Sanitizer|runtime error:/.test(this.said);
        rmSync(this.folder, { recursive: true, force: true });
        if (exitCode !== 0 || report) {
            throw new Error(`the gateway ended with ${exitCode ?? signalCode} and said:\n${this.said}`);
        }
    }
}

export class Engine {
    static async start() {
        const { makeGguf } = await import('./make-gguf.mjs');
        const engine = new Engine();
        engine.folder = mkdtempSync(join(tmpdir(), 'sallyport-engine-'));
        const model = join(engine.folder, 'tiny.gguf');
        makeGguf(model);
        // Its library wants CI to be a boolean, or not there.
        const { CI, ...env } = process.env;
        engine.child = spawn(process.execPath, [join(HERE, 'engine.mjs'), model], { env, stdio: ['pipe', 'pipe', 'inherit'] });
        const [, port] = await lineOf(engine.child.stdout, /^engine on (\d+)$/, 'the engine');
        engine.url = `http://127.0.0.1:${port}`;
        return engine;
    }

    async aborted() {
        return (await (await fetch(`${this.url}/aborted`)).json()).aborted;
    }

    async stop() {
        this.child.stdin.end();
        await stop(this.child);
        rmSync(this.folder, { recursive: true, force: true });
    }
}

/** Waits until `probe` answers true; fails after `ms`. */
export async function eventually(probe, ms = 10_000) {
    const end = Date.now() + ms;
    for (;;) {
        if (await probe()) return;
        if (Date.now() > end) throw new Error(`not so after ${ms} ms: ${probe}`);
        await new Promise((resolve_) => setTimeout(resolve_, 20));
    }
}
