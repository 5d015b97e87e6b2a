/** postmaster.pid: what a running server says of itself (src/include/utils/pidfile.h). */
import { join } from 'node:path';
import { readText } from '../durable.ts';

export interface PidFile {
  pid: number;
  dataDir: string;
  /** Seconds since 1970, by the wall clock at its start. */
  startTime: number;
  port: number;
  /** The first Unix socket folder, or "". */
  socketDir: string;
  /** The first address it listens on, or "". */
  listen: string;
  /** Null until shared memory is made and the ports are bound. */
  status: 'starting' | 'stopping' | 'ready' | 'standby' | null;
}

/** The content of postmaster.pid, or null where it is not (or not yet) that of a postmaster. */
export function parsePidFile(text: string): PidFile | null {
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  // A standalone backend writes its id as a negative number.
  if (!Number.isInteger(pid) || pid <= 0) return null;
  const status = (lines[7] ?? '').trim();
  return {
    pid,
    dataDir: lines[1] ?? '',
    startTime: Number(lines[2] ?? 0),
    port: Number(lines[3] ?? 0),
    socketDir: lines[4] ?? '',
    listen: lines[5] ?? '',
    status: status === 'starting' || status === 'stopping' || status === 'ready' || status === 'standby' ? status : null,
  };
}

/** What postmaster.pid of a data directory says, or null where there is none. */
export async function readPidFile(dataDir: string): Promise<PidFile | null> {
  const text = await readText(join(dataDir, 'postmaster.pid'));
  return text === null ? null : parsePidFile(text);
}
