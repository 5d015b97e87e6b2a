/**
 * A client that writes sequential ids, one commit each, and remembers every acknowledgement: what it was promised must
 * still be there after anything that happens to the cluster. An id whose commit was not acknowledged is in doubt, and
 * never used again.
 */
import type { Client } from 'pg';
import { Lifecycle, sleep } from '../../src/lifecycle.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { connectToWriter, drop, type Target } from './connect.ts';

export interface WriterOptions {
  /** Asked before every new connection: members may come and go. */
  targets: () => readonly Target[];
  table?: string;
  /** Sessions that write side by side; default 1. */
  sessions?: number;
  /** A commit that is not answered within this is in doubt; default 3000 ms. */
  answerMs?: number;
}

export interface Verdict {
  acknowledged: number;
  /** Acknowledged, and not there. */
  missing: number[];
  /** There, and never acknowledged: commits in doubt that did happen. */
  inDoubt: number;
}

const RETRY_MS = 10;

export class Writer {
  readonly acknowledgements = new Acknowledgements();
  /** What went wrong, with its time: each ended one connection. */
  readonly errors: { at: number; message: string }[] = [];
  readonly #options: WriterOptions;
  readonly #table: string;
  readonly #life: Lifecycle;
  #next = 1;

  private constructor(options: WriterOptions) {
    this.#options = options;
    this.#table = options.table ?? 'writer_log';
    this.#life = new Lifecycle((error) => this.errors.push({ at: performance.now(), message: (error as Error).message }));
  }

  /** Makes the table anew and starts to write. */
  static async start(options: WriterOptions): Promise<Writer> {
    const writer = new Writer(options);
    const client = await writer.#connect();
    if (client === null) throw new Error('no server accepts writes');
    await client.query(`drop table if exists ${writer.#table}; create table ${writer.#table} (id bigint primary key)`);
    await client.end();
    for (let i = 0; i < (options.sessions ?? 1); i += 1) writer.#life.run('writing', (signal) => writer.#write(signal));
    return writer;
  }

  /** Ends writing, after the answers that are under way. */
  async stop(): Promise<void> {
    await this.#life.stop();
  }

  /** Returns with the first acknowledgement by a server that was connected to after `time`. Throws after `timeoutMs`. */
  async acknowledgedAfter(time: number, timeoutMs: number): Promise<number> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const found = this.acknowledgements.firstOnNewConnection(time);
      if (found !== null) return found.at;
      if (performance.now() > end) throw new Error(`no write was acknowledged within ${timeoutMs} ms; last error: ${this.errors.at(-1)?.message ?? 'none'}`);
      await sleep(5);
    }
  }

  longestGap(from?: number, to?: number): { ms: number; at: number } {
    return this.acknowledgements.longestGap(from, to);
  }

  /** Compares what was promised with what the present primary holds. Stop the writer first, or count what it adds meanwhile as in doubt. */
  async verify(): Promise<Verdict> {
    const acknowledged = this.acknowledgements.count;
    const client = await this.#connect();
    if (client === null) throw new Error('no server accepts writes: nothing can be verified');
    try {
      const { rows } = await client.query<{ id: string }>(`select id from ${this.#table}`);
      const present = new Set(rows.map(({ id }) => Number(id)));
      const missing = this.acknowledgements.missing(present, acknowledged);
      return { acknowledged, missing, inDoubt: present.size - (acknowledged - missing.length) };
    } finally {
      await client.end();
    }
  }

  #connect(): Promise<Client | null> {
    return connectToWriter(this.#options.targets(), { connectMs: 1000 });
  }

  async #write(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const openedAt = performance.now();
      const client = await connectToWriter(this.#options.targets(), { connectMs: 500, queryMs: this.#options.answerMs ?? 3000 });
      if (client === null) {
        await sleep(RETRY_MS, signal);
        continue;
      }
      try {
        while (!signal.aborted) {
          const id = this.#next;
          this.#next += 1;
          await client.query(`insert into ${this.#table} values ($1)`, [id]);
          this.acknowledgements.add({ id, at: performance.now(), openedAt });
        }
        await client.end();
      } catch (error) {
        this.errors.push({ at: performance.now(), message: (error as Error).message });
        drop(client);
      }
    }
  }
}
