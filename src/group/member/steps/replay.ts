/** How far a standby has replayed, and waiting until it is far enough. */
import { PgorbitError } from '../../../errors.ts';
import { sleep } from '../../../lifecycle.ts';
import { formatLsn, parseLsn, type Lsn } from '../../../wal/lsn.ts';
import type { Member } from '../member.ts';

/** Replay that stands still for this long while WAL is missing has failed. */
const STALLED_MS = 10_000;
const POLL_MS = 10;

export async function replayed(member: Member): Promise<Lsn> {
  const rows = await member.sql().query<{ lsn: string | null }>('select pg_last_wal_replay_lsn()::text as lsn');
  const lsn = rows[0]?.lsn;
  if (!lsn) throw new PgorbitError('postgres-failed', `${member.place.member} does not say how far it has replayed`);
  return parseLsn(lsn);
}

/** Waits, however long, while it gets on. Throws `postgres-failed` when it has stood still for 10 s. */
export async function replayTo(member: Member, end: Lsn, signal: AbortSignal): Promise<void> {
  let last = await replayed(member);
  let movedAt = performance.now();
  while (last < end) {
    signal.throwIfAborted();
    await sleep(POLL_MS, signal);
    const now = await replayed(member);
    if (now > last) movedAt = performance.now();
    else if (performance.now() - movedAt > STALLED_MS) {
      throw new PgorbitError('postgres-failed', `${member.place.member} has replayed to ${formatLsn(now)} and does not get on: it has to come to ${formatLsn(end)}`, {
        hint: `pgorbit logs ${member.place.member}`,
      });
    }
    last = now;
  }
}
