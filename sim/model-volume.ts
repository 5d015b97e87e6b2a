/** The shared volume and the kernel: members' folders, and the cgroups that their servers are started in. */
import type { ModelPostgres } from './model-postgres.ts';
import type { SimProcess } from './process.ts';
import type { Wal } from './wal.ts';

/** In the name of a folder that was set aside. */
export const ASIDE = '.aside-';

/** A data directory. */
export interface Data {
  wal: Wal;
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
  /** Standbys behind this position find their WAL recycled. */
  oldest: number;
}

/** A member's folder. `incarnation: 0` in the marker says that it is half made. */
export interface Folder {
  marker: { member: string; incarnation: number; term: number };
  fenced: number | null;
  lock: SimProcess | ModelPostgres | null;
  data: Data | null;
}

export class ModelVolume {
  readonly folders = new Map<string, Folder>();
  readonly cgroups = new Set<string>();
  readonly servers: ModelPostgres[] = [];

  serverIn(folder: Folder | undefined): ModelPostgres | undefined {
    return this.servers.find((server) => server.alive && server.folder === folder);
  }

  /** The server that listens on a port, if any answers there. */
  listening(port: number): ModelPostgres | undefined {
    return this.servers.find((server) => server.alive && server.port === port && server.phase !== 'booting');
  }

  forget(server: ModelPostgres): void {
    const index = this.servers.indexOf(server);
    if (index >= 0) this.servers.splice(index, 1);
  }
}

/** A clone of a folder: no marker of its own yet, no lock, no fence mark, no slots. */
export function cloneData(source: Data): Data {
  return { ...source, wal: [...source.wal], slots: new Set(), clean: false, torn: false };
}
