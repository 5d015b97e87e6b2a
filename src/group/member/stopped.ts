/** How a server that does not run came to its end, as its control file tells. */
import { readControlFile } from '../../engine/control.ts';
import type { Log } from '../../observe/log.ts';
import type { WalPosition } from '../model.ts';
import { positionOnDisk } from './steps/wal-end.ts';

export interface Stopped {
  /** By a clean shutdown; null where nobody can say. */
  clean: boolean | null;
  /** Where the WAL of a primary ends that was shut down cleanly; null where it is not asked for, or not known. */
  end: WalPosition | null;
}

const UNKNOWN: Stopped = { clean: null, end: null };

/** What cannot be read is logged, and not known: a member that is down must be able to say so. */
export async function howItStopped(dataDir: string, withEnd: boolean, log: Log): Promise<Stopped> {
  const state = await readControlFile(dataDir).then((control) => control.state, (error: unknown) => {
    log.warn({ err: error }, 'pg_control cannot be read');
    return null;
  });
  if (state === null) return UNKNOWN;
  const clean = state === 'shut down' || state === 'shut down in recovery';
  // Only a primary writes a shutdown checkpoint: it is the last record.
  if (!withEnd || state !== 'shut down') return { clean, end: null };
  const end = await positionOnDisk(dataDir, null, new AbortController().signal).catch((error: unknown) => {
    log.warn({ err: error }, 'the end of the WAL cannot be read');
    return null;
  });
  return { clean, end };
}
