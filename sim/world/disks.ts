/**
 * What lies on disks: members' folders, on the shared volume or on their own hosts, and what is forgotten when a
 * host loses its power. Everything is written at once and durable a while later; only WAL has the two positions apart.
 */
import type { Prng } from '../kernel/prng.ts';
import type { SimProcess } from '../kernel/process.ts';
import type { Server } from '../model/server.ts';
import type { Wal } from '../model/wal.ts';

/** In the name of a folder that was set aside. */
export const ASIDE = '.aside-';

/** A data directory, or a logger's WAL. */
export interface Data {
  /** What was written; readable as long as the host has power. */
  wal: Wal;
  /** How many records of it are durable. */
  flushed: number;
  standbySignal: boolean;
  /** From pg_control: the last stop was a clean one. */
  clean: boolean;
  slots: Set<string>;
  accounts: boolean;
  systemIdentifier: string;
  /** pgorbit.conf, as text. */
  conf: string;
  /** Its server was killed while it accepted writes, and nothing has recovered it since. */
  torn: boolean;
  /** Followers behind this position find their WAL recycled. */
  oldest: number;
  /** History files up to this timeline lie in pg_wal: a promotion takes a later one. */
  reserved: number;
  /** A logger's state: the newest promise, what a loss of power leaves of it, and the term of the newest WAL. */
  logger: { promised: number; promisedDurably: number; walTerm: number } | null;
}

/** A member's folder. `incarnation: 0` in the marker says that it is half made. */
export interface Folder {
  host: string;
  marker: { member: string; incarnation: number; term: number };
  fenced: number | null;
  lock: SimProcess | Server | null;
  data: Data | null;
}

/** A promise: nothing of a lower term is acknowledged or obeyed any more. The position is null until it has been read. */
export interface Promised {
  term: number;
  position: { timeline: number; lsn: string } | null;
}

const NO_PROMISE: Promised = { term: 0, position: null };

/** What a member keeps outside its data: in the agent's home. */
export interface Home {
  runtime: { restarts: number; incarnation: number };
  /** Whose pg_wal the restore script reads. */
  restoreFrom: string | null;
  /** What was promised, and what a loss of power leaves of it. */
  promised: Promised;
  promisedDurably: Promised;
}

export class Disks {
  readonly folders = new Map<string, Folder>();
  /** By host and member: each agent has a home of its own. */
  readonly #homes = new Map<string, Map<string, Home>>();
  readonly cgroups = new Set<string>();
  readonly servers: Server[] = [];

  home(member: string, host: string): Home {
    const homes = this.#homes.get(host) ?? new Map<string, Home>();
    this.#homes.set(host, homes);
    const home = homes.get(member) ?? { runtime: { restarts: 0, incarnation: 0 }, restoreFrom: null, promised: NO_PROMISE, promisedDurably: NO_PROMISE };
    homes.set(member, home);
    return home;
  }

  removeHome(member: string, host: string): void {
    this.#homes.get(host)?.delete(member);
  }

  /** @param durably false: as if it were not fsynced. */
  promise(member: string, host: string, promised: Promised, durably: boolean): void {
    const home = this.home(member, host);
    home.promised = promised;
    if (durably) home.promisedDurably = promised;
  }

  /** @param host null: on the shared volume. An agent knows nothing of what a namesake has on another host. */
  folderOf(member: string, host: string | null): Folder | undefined {
    const folder = this.folders.get(member);
    return host === null || folder?.host === host ? folder : undefined;
  }

  hasAside(member: string, host: string | null): boolean {
    return [...this.folders].some(([name, folder]) => name.startsWith(`${member}${ASIDE}`) && (host === null || folder.host === host));
  }

  /** The host whose agent or server holds a folder's lock, null where nobody that lives does. */
  usedFrom({ lock }: Folder): string | null {
    if (lock === null || !lock.alive) return null;
    return 'host' in lock ? lock.host : lock.name;
  }

  serverIn(folder: Folder | undefined): Server | undefined {
    return this.servers.find((server) => server.alive && server.folder === folder);
  }

  /** The server that listens on a port, if any does. */
  listening(port: number): Server | undefined {
    return this.servers.find((server) => server.alive && server.port === port && server.phase !== 'booting');
  }

  forget(server: Server): void {
    const index = this.servers.indexOf(server);
    if (index >= 0) this.servers.splice(index, 1);
  }

  /** A host without power: of what was written and not flushed some beginning is left. A torn record is no record. */
  losePower(host: string, random: Prng): void {
    for (const folder of this.folders.values()) {
      const { data } = folder;
      if (folder.host !== host || data === null) continue;
      data.wal.length = random.int(Math.min(data.flushed, data.wal.length), data.wal.length);
      data.flushed = data.wal.length;
      if (data.logger !== null) data.logger = { ...data.logger, promised: data.logger.promisedDurably };
    }
    for (const home of this.#homes.get(host)?.values() ?? []) home.promised = home.promisedDurably;
  }
}

/** A copy of a running server's files: no slots, to be recovered. */
export function cloneData(source: Data): Data {
  return { ...source, wal: [...source.wal], flushed: source.wal.length, slots: new Set(), clean: false, torn: false };
}
