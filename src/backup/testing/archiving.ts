/** For tests: an archiver in this process, until it is stopped. */
import { sleep } from '../../lifecycle.ts';
import { parseLsn } from '../../wal/lsn.ts';
import type { TestPostgres } from '../../wal/testing/postgres.ts';
import { type ArchiveEvent, runArchiver } from '../archive/archiver.ts';
import type { ArchiveSource } from '../archive/session.ts';
import type { Store } from '../store.ts';

export class TestArchiving {
  readonly events: ArchiveEvent[] = [];
  readonly #stop = new AbortController();
  readonly #ended: Promise<unknown>;
  #error: unknown = null;

  /** @param source asked whenever it connects */
  constructor(store: Store, source: () => ArchiveSource) {
    this.#ended = runArchiver({
      store, cluster: 'shop', group: 'main', now: () => performance.now(), signal: this.#stop.signal,
      find: async () => ({ source: source(), others: [] }), onEvent: (event) => void this.events.push(event),
    }).catch((error: unknown) => (this.#error = error));
  }

  /** Returns with the first event that is `wanted`. Throws what ended the archiver before. */
  async until(wanted: (event: ArchiveEvent) => boolean): Promise<ArchiveEvent> {
    for (;;) {
      const found = this.events.find(wanted);
      if (found !== undefined) return found;
      if (this.#error !== null) throw this.#error;
      await sleep(20);
    }
  }

  async streaming(): Promise<void> {
    await this.until((event) => event.kind === 'streaming');
  }

  /** Returns when all is archived that `server` has flushed by now. */
  async archived(server: Pick<TestPostgres, 'value'>): Promise<void> {
    const end = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
    await this.until((event) => event.kind === 'archived' && parseLsn(event.lsn) >= end);
  }

  /** Throws what ended the archiver before. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
    if (this.#error !== null) throw this.#error;
  }
}
