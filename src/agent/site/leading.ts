/** What the leading members of this site's groups say of themselves, asked at once: no report is as new, or as exact. */
import type { Agent } from '../agent.ts';
import { SqlSession } from '../../engine/sql.ts';
import { replayedBy, type RecoveryPoint } from '../../group/member/recovery-point.ts';
import { sleep } from '../../lifecycle.ts';

/** How long a copy may replay before what it has is told. ms */
const REPLAY_MS = 10_000;
/** Longer than wal_receiver_timeout (engine/settings.ts). ms */
const RECEIVER_MS = 4_000;
const POLL_MS = 50;

type Asked = Pick<Agent, 'view' | 'log'>;

/** Does a leading member here receive WAL, for longer than the receiver of a sender that is gone calls itself streaming? */
export async function receives(agent: Asked, signal: AbortSignal): Promise<boolean> {
  const end = performance.now() + RECEIVER_MS;
  for (;;) {
    const streaming = await ofLeading(agent, async (session) => (await session.query("select 1 from pg_stat_wal_receiver where status = 'streaming'")).length > 0);
    if (!Object.values(streaming).includes(true)) return false;
    if (performance.now() > end || signal.aborted) return true;
    await sleep(POLL_MS, signal);
  }
}

/** Of each group: what its leading member has, when all of it is replayed. */
export const recoveryPoints = (agent: Asked, signal: AbortSignal): Promise<Record<string, RecoveryPoint>> => ofLeading(agent, async (session) => {
  for (const end = performance.now() + REPLAY_MS; ; await sleep(POLL_MS, signal)) {
    const { point, missing } = await replayedBy(session);
    if (missing === null) return point;
    if (performance.now() > end || signal.aborted) return { ...point, lsn: missing };
  }
});

/** By group: what `ask` says of its leading member; those that do not answer are left out. */
async function ofLeading<T>({ view, log }: Asked, ask: (session: SqlSession) => Promise<T>): Promise<Record<string, T>> {
  const found: Record<string, T> = {};
  const { secrets } = view;
  for (const { record } of view.groups.values()) {
    const leading = record.primary === null ? undefined : record.members[record.primary];
    if (leading === undefined || secrets === null) continue;
    const session = new SqlSession({ host: leading.address, port: leading.port, ...secrets.agent });
    try {
      found[record.group] = await ask(session);
    } catch (error) {
      log.warn({ err: error, group: record.group }, 'the leading member could not be asked');
    } finally {
      await session.close();
    }
  }
  return found;
}
