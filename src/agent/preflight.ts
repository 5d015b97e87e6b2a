/** Can this host carry what a manifest gives it? Asked before anything is changed, so that errors come now and not half-way. */
import { networkInterfaces } from 'node:os';
import { statfs } from 'node:fs/promises';
import { findEngine } from '../engine/find.ts';
import { postgresOsUser } from '../engine/osuser.ts';
import { toReport, type ErrorReport } from '../errors.ts';
import type { ClusterSpec } from '../group/model.ts';

/** PostgreSQL's start needs little; parallel queries and large settings need more ("Managing Kernel Resources"). */
const LEAST_SHARED_MEMORY = 16 * 1024 * 1024;

export interface Preflight {
  problems: ErrorReport[];
  /** What a person may like to know, one sentence each. */
  notes: string[];
}

export async function preflight(spec: ClusterSpec, host: string, home: string): Promise<Preflight> {
  const problems: ErrorReport[] = [];
  const notes: string[] = [];
  const attempt = async (check: () => Promise<void>): Promise<void> => {
    try {
      await check();
    } catch (error) {
      problems.push(toReport(error));
    }
  };
  await attempt(async () => {
    const engine = await findEngine(spec.engine, home);
    notes.push(`PostgreSQL ${engine.version} (${engine.source}: ${engine.bin})`);
  });
  await attempt(async () => {
    const user = await postgresOsUser();
    if (user !== null) notes.push(`postgres runs as the user ${user.name}`);
  });
  await attempt(async () => {
    const shm = await statfs('/dev/shm');
    const free = shm.bavail * shm.bsize;
    if (free < LEAST_SHARED_MEMORY) {
      problems.push({ code: 'shared-memory', message: `/dev/shm on ${host} has ${Math.floor(free / 1024)} kB free; PostgreSQL needs ${LEAST_SHARED_MEMORY / 1024} kB at least`, hint: 'mount -o remount,size=512M /dev/shm (in a container: --shm-size=512m)' });
    }
  });
  const address = spec.hosts[host]?.address;
  if (address !== undefined && !isLocalAddress(address)) {
    problems.push({ code: 'host-unreachable', message: `host ${host} has the address ${address}, which is not an address of this machine`, hint: 'correct the address in the manifest' });
  }
  return { problems, notes };
}

/** Loopback addresses are local whatever the interfaces say: Linux routes all of 127.0.0.0/8. */
export function isLocalAddress(address: string): boolean {
  if (address === 'localhost' || address === '::1' || address.startsWith('127.')) return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((one) => one.address === address));
}
