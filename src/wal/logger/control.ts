/**
 * How an agent speaks with its logger: a Unix socket, one JSON document a line.
 *
 *   → { "id": 1, "method": "promise", "params": { "term": 8 } }
 *   ← { "id": 1, "result": { "term": 8, "walTerm": 7, "timeline": 2, "flushed": "0/5000140" } }
 *   ← { "id": 1, "error": { "code": "unsafe", "message": "..." } }
 */
import { rmSync } from 'node:fs';
import { type Server, type Socket, createServer } from 'node:net';
import { PgorbitError, toReport } from '../../errors.ts';
import type { Logger, LoggerTunables } from './logger.ts';
import type { Upstream } from './receive.ts';

const MAX_LINE = 1 << 20;

type Params = Record<string, unknown>;

export class ControlServer {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  async listen(): Promise<void> {
    rmSync(this.#path, { force: true });
    this.#server = createServer((socket) => this.#accept(socket));
    const previous = process.umask(0o077);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server!.once('error', reject);
        this.#server!.listen(this.#path, resolve);
      });
    } finally {
      process.umask(previous);
    }
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => (this.#server ? this.#server.close(resolve) : resolve(null)));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy()); // whoever asked has gone
    let rest = '';
    let turn: Promise<void> = Promise.resolve();
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      if (rest.length > MAX_LINE) return void socket.destroy();
      for (const line of lines.filter((one) => one.trim() !== '')) turn = turn.then(() => this.#answer(socket, line));
    });
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    let id: unknown = null;
    try {
      const request = JSON.parse(line) as { id?: unknown; method?: unknown; params?: Params };
      id = request.id ?? null;
      const result = await this.#call(String(request.method), request.params ?? {});
      socket.write(`${JSON.stringify({ id, result })}\n`);
    } catch (error) {
      socket.write(`${JSON.stringify({ id, error: toReport(error) })}\n`);
    }
  }

  async #call(method: string, params: Params): Promise<unknown> {
    switch (method) {
      case 'status':
        return this.#logger.status();
      case 'promise':
        return this.#logger.promise(numberOf(params, 'term'));
      case 'follow':
        await this.#logger.follow(upstreamOf(params));
        return {};
      case 'holds': {
        const { positions } = params;
        if (positions !== null && !Array.isArray(positions)) throw new PgorbitError('usage', 'holds needs a list of positions, or null');
        this.#logger.setHolds(positions?.map(String) ?? null);
        return {};
      }
      case 'configure':
        this.#logger.configure(tunablesOf(params));
        return {};
      case 'purge':
        return { removed: this.#logger.purge() };
      default:
        throw new PgorbitError('usage', `a logger has no method "${method}"`, { hint: 'status, promise, follow, holds, configure, purge' });
    }
  }
}

function numberOf(params: Params, name: string): number {
  const value = params[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw new PgorbitError('usage', `"${name}" has to be a whole number`);
  return value;
}

function textOf(params: Params, name: string): string {
  const value = params[name];
  if (typeof value !== 'string') throw new PgorbitError('usage', `"${name}" has to be a text`);
  return value;
}

function upstreamOf(params: Params): Upstream {
  return {
    host: textOf(params, 'host'), port: numberOf(params, 'port'), user: textOf(params, 'user'), term: numberOf(params, 'term'), applicationName: textOf(params, 'applicationName'),
    ...(params['slot'] === undefined ? {} : { slot: textOf(params, 'slot') }),
    ...(params['password'] === undefined ? {} : { password: textOf(params, 'password') }),
    ...(params['ca'] === undefined ? {} : { tls: { ca: textOf(params, 'ca') } }),
  };
}

function tunablesOf(params: Params): LoggerTunables {
  const rules = (params['purge'] ?? {}) as Params;
  return {
    keepaliveMs: numberOf(params, 'keepaliveMs'), timeoutMs: numberOf(params, 'timeoutMs'), packetBytes: numberOf(params, 'packetBytes'),
    purge: {
      enabled: rules['enabled'] === true, keepBytes: numberOf(rules, 'keepBytes'), keepMs: numberOf(rules, 'keepMs'),
      maxBytes: numberOf(rules, 'maxBytes'), everyMs: numberOf(rules, 'everyMs'),
    },
  };
}
