/** The agent's side of a logger's control socket. */
import { type Socket, connect } from 'node:net';
import { PgorbitError, type ErrorReport } from '../../errors.ts';
import type { LoggerStatus, LoggerTunables, Promised } from './logger.ts';
import type { Upstream } from './receive.ts';

/** One call on a connection of its own. Throws the logger's error, `agent-unreachable`, or `timed-out` after `timeoutMs`. */
async function call(path: string, method: string, params: unknown, timeoutMs: number): Promise<unknown> {
  const socket: Socket = connect(path);
  try {
    const line = await new Promise<string>((resolve, reject) => {
      let text = '';
      socket.setEncoding('utf8');
      socket.setTimeout(timeoutMs, () => reject(new PgorbitError('timed-out', `the logger at ${path} did not answer within ${timeoutMs} ms`)));
      socket.on('error', (error) => reject(new PgorbitError('agent-unreachable', `cannot reach the logger at ${path}: ${error.message}`, { cause: error })));
      socket.on('close', () => reject(new PgorbitError('agent-unreachable', `the logger at ${path} went away`)));
      socket.on('data', (chunk: string) => {
        text += chunk;
        const end = text.indexOf('\n');
        if (end >= 0) resolve(text.slice(0, end));
      });
      socket.write(`${JSON.stringify({ id: 1, method, params })}\n`);
    });
    const answer = JSON.parse(line) as { result?: unknown; error?: ErrorReport };
    if (answer.error) throw PgorbitError.fromReport(answer.error);
    return answer.result;
  } finally {
    socket.destroy();
  }
}

export class LoggerClient {
  readonly #path: string;
  readonly #timeoutMs: number;

  constructor(path: string, timeoutMs = 5000) {
    this.#path = path;
    this.#timeoutMs = timeoutMs;
  }

  async status(): Promise<LoggerStatus> {
    return (await call(this.#path, 'status', {}, this.#timeoutMs)) as LoggerStatus;
  }
  /** See Logger.promise: when this returns, nothing of a lower term is acknowledged any more. */
  async promise(term: number): Promise<Promised> {
    return (await call(this.#path, 'promise', { term }, this.#timeoutMs)) as Promised;
  }
  /** TLS to the upstream by the text of its CA. */
  async follow(upstream: Omit<Upstream, 'tls'> & { ca?: string }): Promise<void> {
    await call(this.#path, 'follow', upstream, this.#timeoutMs);
  }
  /** Null: what members and archive need is not known, so that nothing may go. */
  async holds(positions: string[] | null): Promise<void> {
    await call(this.#path, 'holds', { positions }, this.#timeoutMs);
  }
  async configure(tunables: LoggerTunables): Promise<void> {
    await call(this.#path, 'configure', tunables, this.#timeoutMs);
  }
  async purge(): Promise<string[]> {
    return ((await call(this.#path, 'purge', {}, this.#timeoutMs)) as { removed: string[] }).removed;
  }
}
