/** Runs a restored data directory to its target, as a server that nobody reaches, and stops it cleanly. */
import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripAutoConf } from '../../engine/config.ts';
import { readControlFile } from '../../engine/control.ts';
import { explainStartFailure } from '../../engine/explain.ts';
import { readTail, replaceFile } from '../../engine/files.ts';
import type { Engine } from '../../engine/find.ts';
import type { OsUser } from '../../engine/osuser.ts';
import { type Postmaster, startPostgres, stopPostgres } from '../../engine/postmaster.ts';
import { isAlive } from '../../engine/proc.ts';
import { reach } from '../../engine/reach.ts';
import { SqlSession } from '../../engine/sql.ts';
import { PgorbitError } from '../../errors.ts';
import { sleep } from '../../lifecycle.ts';
import type { Chain } from '../chain.ts';
import type { SystemFolder } from '../repository.ts';
import { WalExchange } from './exchange.ts';
import { straightenHistory } from './straighten.ts';
import { type Target, describeTarget, targetSettings } from './target.ts';

export interface RecoverOptions {
  engine: Engine;
  /** A copy of the backup's data. */
  dataDir: string;
  /** A folder beside it for the time of the recovery; missing. */
  exchangeDir: string;
  logFile: string;
  user: OsUser | null;
  system: SystemFolder;
  chain: Chain;
  target: Target;
  /** A superuser of the database system. */
  superuser: string;
  /** Called when it accepts writes, and nobody else can reach it. `connect` opens a session that the caller closes. */
  settle: (connect: (database: string) => SqlSession) => Promise<void>;
  /** Segments replayed, of about so many. */
  onProgress: (done: number, total: number) => void;
  signal: AbortSignal;
}

const POLL_MS = 50;
/** The checkpoint of a stop after a long recovery. */
const STOP_MS = 600_000;
/** Only names the socket. */
const PORT = 5432;
/** sun_path (unix(7)) and its final zero. */
const LONGEST_SOCKET = 107;

/**
 * Ends with a database system that was cut off its past: on a timeline of its own, shut down cleanly. Throws PgorbitError
 * `target-unreachable`, `backup-damaged`, or what hindered PostgreSQL.
 */
export async function recover(options: RecoverOptions): Promise<{ timeline: number }> {
  const { dataDir, user, signal } = options;
  let socketDir = '';
  let postmaster: Postmaster | null = null;
  let exchange: WalExchange | null = null;
  try {
    await rm(join(dataDir, 'standby.signal'), { force: true });
    await stripAutoConf(dataDir);
    await replaceFile(join(dataDir, 'recovery.signal'), '');
    const total = options.chain.segments.filter((segment) => segment.archived).length;
    exchange = await WalExchange.open({ dir: options.exchangeDir, system: options.system, owner: user, onSegment: (count) => options.onProgress(Math.min(count, total), total) });
    socketDir = await makeSocketDir(options);
    const hba = join(socketDir, 'pg_hba.conf');
    await writeFile(hba, 'local all all trust\n', { mode: 0o644 });
    postmaster = await start(options, { socketDir, hba, command: await exchange.command() });
    await awaitEnd(options, postmaster, exchange, socketDir);
    await options.settle((database) => connect(options, socketDir, database));
    signal.throwIfAborted();
    if (!(await stopPostgres(postmaster, 'fast', STOP_MS))) throw new PgorbitError('timed-out', `the restored server in ${dataDir} does not stop`);
    const { state, timeline } = await readControlFile(dataDir);
    if (state !== 'shut down') throw new PgorbitError('postgres-failed', `the restored server in ${dataDir} did not stop cleanly: ${state}`, { hint: `see ${options.logFile}` });
    await straightenHistory(dataDir, timeline, options.chain.history);
    return { timeline };
  } catch (error) {
    throw explain(options, error, exchange);
  } finally {
    if (postmaster !== null && isAlive(postmaster.id)) await stopPostgres(postmaster, 'immediate', STOP_MS);
    postmaster?.release();
    await exchange?.close();
    if (socketDir !== '') await rm(socketDir, { recursive: true, force: true });
  }
}

/** Beside the exchanged files, which go with the cluster whatever happens; elsewhere where a socket's name would be too long. */
async function makeSocketDir({ exchangeDir, user }: RecoverOptions): Promise<string> {
  let dir = join(exchangeDir, 'socket');
  if (`${dir}/.s.PGSQL.${PORT}`.length > LONGEST_SOCKET) dir = await mkdtemp(join(tmpdir(), 'pgorbit-restore-'));
  else await mkdir(dir, { mode: 0o700 });
  if (user !== null) await chown(dir, user.uid, user.gid);
  return dir;
}

async function start(options: RecoverOptions, at: { socketDir: string; hba: string; command: string }): Promise<Postmaster> {
  const { engine, dataDir, logFile, user } = options;
  return startPostgres({
    engine, dataDir, port: PORT, listen: [], socketDir: at.socketDir, logFile, user, cgroup: null,
    settings: {
      restore_command: at.command, ...targetSettings(options.target), recovery_target_timeline: String(options.chain.history.timeline), recovery_target_action: 'promote',
      // Nobody reads before the target, and so no setting has to be as high as the source's was.
      hot_standby: 'off', hba_file: await reach(at.hba, user),
      // Nothing of what the source did to others happens here, and nothing secret is logged.
      archive_mode: 'off', archive_cleanup_command: '', recovery_end_command: '', primary_conninfo: '', primary_slot_name: '', synchronous_standby_names: '',
      max_logical_replication_workers: '0', autovacuum: 'off', ssl: 'off', logging_collector: 'off', log_destination: 'stderr', lc_messages: 'C',
      log_statement: 'none', log_min_duration_statement: '-1', log_min_error_statement: 'panic',
    },
  });
}

function connect({ superuser }: RecoverOptions, socketDir: string, database: string): SqlSession {
  return new SqlSession({ host: socketDir, port: PORT, user: superuser, password: '', database });
}

/** Until it accepts writes. It refuses everybody before, and ends by itself where it cannot come to the target. */
async function awaitEnd(options: RecoverOptions, postmaster: Postmaster, exchange: WalExchange, socketDir: string): Promise<void> {
  const { signal, logFile } = options;
  for (;;) {
    signal.throwIfAborted();
    if (!isAlive(postmaster.id)) {
      await postmaster.exited;
      throw exchange.failure ?? explainEnd(options, await readTail(logFile));
    }
    const session = connect(options, socketDir, 'postgres');
    try {
      const rows = await session.query<{ recovering: boolean }>('select pg_is_in_recovery() as recovering');
      if (rows[0]?.recovering === false) return;
    } catch {
      // "the database system is starting up", for as long as it replays.
    } finally {
      await session.close();
    }
    await sleep(POLL_MS, signal);
  }
}

function explainEnd({ target, chain, logFile }: RecoverOptions, log: string): PgorbitError {
  const where = describeTarget(target);
  if (/recovery ended before configured recovery target was reached/.test(log)) {
    const [missing] = chain.missing;
    return new PgorbitError('target-unreachable', `${where} lies beyond the archived WAL${missing === undefined ? '' : `, of which segment ${missing} is missing`}`, { hint: 'restore to an earlier target, or to latest' });
  }
  if (/before consistent recovery point/.test(log)) return new PgorbitError('target-unreachable', `${where} is before the end of the backup`, { hint: 'an older backup reaches it: `pgorbit backup ls`' });
  const report = explainStartFailure(log);
  return new PgorbitError(report.code, `${report.message} (log ${logFile})`, { hint: report.hint });
}

function explain(options: RecoverOptions, error: unknown, exchange: WalExchange | null): unknown {
  if (options.signal.aborted) return error;
  if (exchange?.failure instanceof PgorbitError) return exchange.failure;
  return error;
}
