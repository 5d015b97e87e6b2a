/** Keeps the status files of a host's members up to date, and leaves the disk alone where nothing changed. */
import type { OsUser } from '../../engine/osuser.ts';
import type { OrbitEvent } from '../../observe/event.ts';
import { statusFile, type ViewDocument } from './document.ts';
import { writeStatusFile } from './file.ts';

/** A member of this host that has, or will have, a PostgreSQL data directory. */
export interface LocalMember {
  group: string;
  member: string;
  dataDir: string;
}

export interface ViewsFeedOptions {
  owner: OsUser | null;
  /** ms, monotonic */
  now: () => number;
  /** Wall-clock time, for `as_of`. */
  date: () => Date;
  /** A file that cannot be written; told once, until it can be written again. */
  onError: (error: unknown, what: string) => void;
}

/** An unchanged file is written again after this long, ms: an `as_of` that is much older says that nobody looks after it. */
export const REFRESH_MS = 5_000;

interface Written {
  text: string;
  at: number;
}

export class ViewsFeed {
  readonly #options: ViewsFeedOptions;
  readonly #written = new Map<string, Written>();
  readonly #failing = new Set<string>();
  #last: Promise<void> = Promise.resolve();

  constructor(options: ViewsFeedOptions) {
    this.#options = options;
  }

  /**
   * Writes what changed since the last call. To be called when a new document has come, and only then: an agent that
   * is cut off must let its files grow old. Never throws; calls queue up.
   */
  update(document: ViewDocument, events: readonly OrbitEvent[], members: readonly LocalMember[]): Promise<void> {
    this.#last = this.#last.then(() => this.#update(document, events, members));
    return this.#last;
  }

  async #update(document: ViewDocument, events: readonly OrbitEvent[], members: readonly LocalMember[]): Promise<void> {
    const folders = new Set(members.map(({ dataDir }) => dataDir));
    for (const dataDir of this.#written.keys()) {
      if (!folders.has(dataDir)) this.#written.delete(dataDir);
    }
    for (const { group, member, dataDir } of members) {
      try {
        await this.#write(dataDir, statusFile(document, group, member, events));
        this.#failing.delete(dataDir);
      } catch (error) {
        if (!this.#failing.has(dataDir)) this.#options.onError(error, `writing the status file of ${member}`);
        this.#failing.add(dataDir);
      }
    }
  }

  async #write(dataDir: string, value: object): Promise<void> {
    const { owner, now, date } = this.#options;
    const text = JSON.stringify(value);
    const last = this.#written.get(dataDir);
    if (last?.text === text && now() - last.at < REFRESH_MS) return;
    const at = now();
    if (await writeStatusFile(dataDir, owner, { as_of: date().toISOString(), ...value })) this.#written.set(dataDir, { text, at });
  }
}
