/**
 * A rehearsal: a copy of a standby's data is promoted aside, asked what a person wants to know, and thrown away. The copy
 * listens on a socket of its own alone, follows nobody, archives nothing and subscribes to nothing.
 */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { baseBackup } from '../../engine/basebackup/basebackup.ts';
import { replaceFile } from '../../engine/files.ts';
import { giveTo } from '../../engine/osuser.ts';
import { adoptPostgres, startPostgres, stopPostgres, type Postmaster } from '../../engine/postmaster.ts';
import { reach } from '../../engine/reach.ts';
import { SqlSession } from '../../engine/sql.ts';
import { PgorbitError } from '../../errors.ts';
import { sleep } from '../../lifecycle.ts';
import type { Member } from './member.ts';
import { LAST_TRANSACTION, type RecoveryPoint } from './recovery-point.ts';

export interface DrillCheck {
  /** How the result names it: the file, or the statement itself. */
  name: string;
  sql: string;
}

export interface DrillResult {
  /** `snapshot` and `clone` share the standby's blocks on its volume; `copy` is a base backup of it. */
  how: 'snapshot' | 'clone' | 'copy';
  point: RecoveryPoint;
  /** From the beginning until it had its data, and until it accepted writes. */
  seconds: { data: number; answered: number };
  checks: { name: string; ok: boolean; message: string }[];
}

const POLL_MS = 20;
const START_MS = 600_000;
const STOP_MS = 60_000;
const CHECKPOINT_MS = 600_000;
const BOOL_OID = 16;

/** Command-line settings win over every file of the copy. */
const APART: Record<string, string> = {
  primary_conninfo: '', primary_slot_name: '', synchronous_standby_names: '', archive_mode: 'off', max_logical_replication_workers: '0',
  shared_buffers: '64MB', cluster_name: 'drill',
};

const folderOf = (member: Member): string => `${member.place.dir}.drill`;

/** Ends and removes what a drill left that was interrupted. */
export async function clearDrill(member: Member): Promise<void> {
  const left = await adoptPostgres(join(folderOf(member), 'data'));
  if (left !== null) {
    await stopPostgres(left, 'immediate', STOP_MS);
    left.release();
  }
  await member.environment.volume.removeMember(folderOf(member));
}

/** @param database where the checks run. @throws what kept the copy from accepting writes; a check that fails is no error */
export async function drill(member: Member, checks: readonly DrillCheck[], database: string, signal: AbortSignal): Promise<DrillResult> {
  const { place, environment, orders } = member;
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  await clearDrill(member);
  const before = await lastCommit(member.sql());
  // PostgreSQL's user has to pass through it, and sun_path is short.
  const socketDir = await mkdtemp(join(tmpdir(), 'pgorbit-drill-'));
  let postmaster: Postmaster | null = null;
  try {
    const how = await copyAside(member, signal);
    const data = seconds();
    const dataDir = join(folderOf(member), 'data');
    await chmod(socketDir, 0o700);
    await giveTo(socketDir, environment.user);
    postmaster = await startPostgres({
      engine: orders.engine, dataDir, port: orders.record.port, listen: [], socketDir, logFile: join(place.homeDir, 'log', 'drill.log'), user: environment.user, cgroup: null,
      settings: { ...APART, restore_command: how === 'clone' ? await fromStandby(member) : 'false' },
    });
    const target = { host: await reach(socketDir, null), port: orders.record.port };
    const session = new SqlSession({ ...target, ...environment.secrets.agent });
    let point: RecoveryPoint;
    try {
      await until(signal, postmaster, async () => (await session.query('select 1')).length === 1);
      point = await promoted(session, before, signal, postmaster);
    } finally {
      await session.close();
    }
    const answered = seconds();
    const results = [];
    for (const check of checks) results.push(await run(check, { ...target, ...environment.secrets.superuser, database }));
    return { how, point, seconds: { data, answered }, checks: results };
  } finally {
    if (postmaster !== null) {
      await stopPostgres(postmaster, 'immediate', STOP_MS);
      postmaster.release();
    }
    await environment.volume.removeMember(folderOf(member));
    await rm(socketDir, { recursive: true, force: true });
  }
}

/** The quickest way that the standby's volume has; the folder bears the member's mark, so that it goes with the member. */
async function copyAside(member: Member, signal: AbortSignal): Promise<DrillResult['how']> {
  const { place, environment } = member;
  const { volume } = environment;
  const dir = folderOf(member);
  const dataDir = join(dir, 'data');
  const marker = member.marker(0, 0);
  let how: DrillResult['how'];
  if (volume.atomicClone) {
    how = 'snapshot';
    await volume.cloneMember(place.dir, dir, { signal, marker });
  } else if (volume.driver === 'reflink') {
    how = 'clone';
    const label = await underBackup(member, async () => void (await volume.cloneMember(place.dir, dir, { signal, marker })));
    await writeFile(join(dataDir, 'backup_label'), label, { mode: 0o600 });
  } else {
    how = 'copy';
    await volume.createMember(dir, marker);
    const { user, password } = environment.secrets.replication;
    const { address, port } = member.orders.record;
    await baseBackup({
      source: { host: address, port, user, password, applicationName: 'pgorbit drill' }, dir: dataDir, owner: environment.user, checkpoint: 'fast', rate: null, wal: true,
      label: 'pgorbit drill', signal, onProgress: () => undefined,
    });
  }
  await chmod(dir, 0o755);
  for (const name of ['postmaster.pid', 'postmaster.opts', 'recovery.signal']) await rm(join(dataDir, name), { force: true });
  await replaceFile(join(dataDir, 'standby.signal'), '');
  await member.give(dataDir, ['backup_label', 'standby.signal']);
  return how;
}

/** "Making a Base Backup Using the Low Level API" of a standby. @returns the label, which belongs into the copy alone */
async function underBackup(member: Member, work: () => Promise<void>): Promise<string> {
  const session = member.connectToSelf();
  try {
    await session.query("select pg_backup_start('pgorbit drill', fast => true)", [], { timeoutMs: CHECKPOINT_MS });
    await work();
    const rows = await session.query<{ label: string }>('select labelfile as label from pg_backup_stop(wait_for_archive => false)', [], { timeoutMs: CHECKPOINT_MS });
    return rows[0]?.label ?? '';
  } finally {
    await session.close();
  }
}

/** What was received while the clone was made, up to where that is consistent, lies with the standby. */
async function fromStandby({ place, environment }: Member): Promise<string> {
  const walDir = (await reach(join(place.dataDir, 'pg_wal'), environment.user)).replaceAll("'", "'\\''").replaceAll('%', '%%');
  return `cp '${walDir}/%f' "%p"`;
}

/** A standby that runs tells when its last transaction ended; one that was just started knows only what it replayed since. */
async function lastCommit(session: SqlSession): Promise<string | null> {
  const rows = await session.query<{ time: string | null }>(`select ${LAST_TRANSACTION} as time`);
  return rows[0]?.time ?? null;
}

async function promoted(session: SqlSession, before: string | null, signal: AbortSignal, postmaster: Postmaster): Promise<RecoveryPoint> {
  await session.query('select pg_promote(false)');
  await until(signal, postmaster, async () => (await session.query<{ recovery: boolean }>('select pg_is_in_recovery() as recovery'))[0]?.recovery === false);
  const rows = await session.query<{ lsn: string; time: string | null; timeline: number }>(`select pg_last_wal_replay_lsn()::text as lsn, ${LAST_TRANSACTION} as time, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int as timeline`);
  const row = rows[0];
  if (row === undefined) throw new PgorbitError('postgres-failed', 'the copy does not say how far it came');
  return { timeline: row.timeline, lsn: row.lsn, time: row.time ?? before };
}

async function until(signal: AbortSignal, postmaster: Postmaster, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + START_MS;
  let ended = false;
  void postmaster.exited.then(() => (ended = true));
  for (;;) {
    signal.throwIfAborted();
    const answer = await holds().catch((error: unknown) => error);
    if (answer === true) return;
    if (ended) throw new PgorbitError('postgres-failed', "the copy's PostgreSQL ended", { hint: 'its log is drill.log beside the log of the standby' });
    if (performance.now() > deadline) throw answer instanceof Error ? answer : new PgorbitError('timed-out', 'the copy did not accept writes in time');
    await sleep(POLL_MS, signal);
  }
}

/** Passes when it raises no error and, where its last statement returns one boolean, that is true. */
async function run({ name, sql }: DrillCheck, target: { host: string; port: number; user: string; password: string; database: string }): Promise<DrillResult['checks'][number]> {
  const client = new Client({ ...target, application_name: 'pgorbit drill' });
  try {
    await client.connect();
    const answer = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
    const last = Array.isArray(answer) ? (answer as (typeof answer)[]).at(-1) : answer;
    const row = last?.rows[0];
    if (last?.fields.length === 1 && last.fields[0]?.dataTypeID === BOOL_OID && last.rows.length === 1) return { name, ok: row?.[0] === true, message: String(row?.[0]) };
    return { name, ok: true, message: row === undefined ? 'no error' : row.map(String).join(' | ') };
  } catch (error) {
    return { name, ok: false, message: (error as Error).message };
  } finally {
    await client.end().catch(() => undefined); // a connection that broke is closed as well
  }
}
