/** A logger in a process of its own, as an agent would run it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LoggerClient } from '../logger/client.ts';
import type { LoggerFile } from '../logger/main.ts';
import type { Upstream } from '../logger/receive.ts';
import { parseLsn } from '../lsn.ts';
import { freePort } from './postgres.ts';

const MAIN = fileURLToPath(new URL('../logger/main.ts', import.meta.url));

export class TestLogger {
  readonly dir: string;
  readonly client: LoggerClient;
  readonly config: LoggerFile;
  output = '';
  #child: ChildProcess | null = null;

  private constructor(dir: string, config: LoggerFile) {
    this.dir = dir;
    this.config = config;
    this.client = new LoggerClient(config.control);
  }

  static async create(change: Partial<LoggerFile> = {}): Promise<TestLogger> {
    const dir = mkdtempSync(join(tmpdir(), 'pgorbit-logger-'));
    const logger = new TestLogger(dir, { dir: join(dir, 'logger'), host: '127.0.0.1', port: await freePort(), control: join(dir, 'control'), ...change });
    try {
      await logger.start();
    } catch (error) {
      await logger.destroy(); // nobody else knows of it yet
      throw error;
    }
    return logger;
  }

  get port(): number {
    return this.config.port;
  }
  get walDir(): string {
    return join(this.config.dir, 'wal');
  }

  async start(): Promise<void> {
    mkdirSync(this.config.dir, { recursive: true });
    rmSync(this.config.control, { force: true });
    const file = join(this.dir, 'config.json');
    writeFileSync(file, JSON.stringify(this.config), { mode: 0o600 });
    // In a session of its own, as an agent starts it: the kernel shares the processors out among sessions (sched(7), autogroup).
    const child = spawn(process.execPath, ['--import', 'tsx', MAIN, file], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
    });
    child.once('exit', (code, signal) => {
      this.output += `ended with ${code ?? signal}\n`;
      if (signal === null && code !== 0) process.stderr.write(this.output); // it fell over by itself
    });
    this.#child = child;
    // The socket's file is there a moment before anybody listens on it: only an answer counts.
    for (;;) {
      try {
        await this.client.status();
        return;
      } catch (error) {
        if (child.exitCode !== null) throw new Error(`the logger ended: ${this.output}`, { cause: error });
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.kill(signal);
    return await ended;
  }

  async destroy(): Promise<void> {
    await this.end('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export const upstream = (server: { port: number }, term: number, applicationName = 'logger'): Omit<Upstream, 'tls'> => ({ host: '127.0.0.1', port: server.port, user: 'postgres', applicationName, term });

/** Waits for half a minute at most. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let left = 1500; left > 0; left--) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`it never came to pass: ${what}`);
}

export const streaming = (one: TestLogger): Promise<void> => until('the logger streams', async () => (await one.client.status()).upstream?.state === 'streaming');
export const flushed = async (one: TestLogger): Promise<bigint> => parseLsn((await one.client.status()).flushed ?? '0/0');
