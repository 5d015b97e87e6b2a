/** For tests: the archiver's process, as an agent runs it, beside a throw-away server. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../../lifecycle.ts';
import { parseLsn } from '../../wal/lsn.ts';
import type { TestPostgres } from '../../wal/testing/postgres.ts';
import { type ArchiverFile, type ArchiverStatus, readStatus, writeConfig } from '../archive/files.ts';
import { adoptArchiver, startArchiver, stopArchiver } from '../archive/process.ts';
import { scratch } from './server.ts';

export const SLOT = 'pgorbit__archive';

/** The first archiver of `server`, which gets the slot for it, to a repository that it makes. */
export async function archiverOf(server: TestPostgres, to: string): Promise<ArchiverFile> {
  await server.value(`select pg_create_physical_replication_slot('${SLOT}', true)`);
  return {
    cluster: 'shop', clusterId: 'id', group: 'main', epoch: 1, to, make: true, flushMs: 100, account: { user: 'postgres', password: '' },
    sources: [{ member: 'n1', address: '127.0.0.1', port: server.port, slot: SLOT }],
  };
}

/** Starts it in a folder of its own. */
export async function startedIn(config: ArchiverFile, cleanup: (() => unknown)[], environment: Record<string, string> = {}): Promise<string> {
  const folder = join(scratch(cleanup), 'archiver');
  mkdirSync(folder);
  cleanup.push(async () => {
    const left = adoptArchiver(folder);
    left?.release();
    if (left !== null) await stopArchiver(left);
  });
  await writeConfig(folder, config);
  (await startArchiver(folder, environment)).release();
  return folder;
}

/** Waits until the archive has what the server has flushed by now, or until `found`. */
export async function archivedBy(folder: string, server: TestPostgres, found: (status: ArchiverStatus) => boolean = () => false): Promise<ArchiverStatus> {
  const end = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
  for (;;) {
    const status = await readStatus(folder);
    if (status !== null && (found(status) || (status.lsn !== null && status.state === 'streaming' && parseLsn(status.lsn) >= end))) return status;
    await sleep(20);
  }
}
