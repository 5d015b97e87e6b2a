/**
 * Promising a term, on local storage. The obvious order (clear primary_conninfo, reload, ask for the received position)
 * lets acknowledgements go on beyond what was reported. So: the term is stored, the upstream is taken out of the
 * configuration, the server is seen to know that, its WAL receiver is ended and seen to be gone, and only then the end
 * of the WAL is read from the disk.
 */
import { readControlFile } from '../../../engine/control.ts';
import { sendSignal } from '../../../engine/proc.ts';
import { PgorbitError } from '../../../errors.ts';
import { sleep } from '../../../lifecycle.ts';
import type { Goal } from '../../model.ts';
import type { Member } from '../member.ts';
import { holdingOf } from '../place.ts';
import { savePromise } from '../promises.ts';
import { positionOfStandby, positionOnDisk } from './wal-end.ts';

const POLL_MS = 5;
/** How long the server may take to know its configuration, and its receiver to end. */
const CUT_MS = 10_000;
/** Looks in a row that have to find no receiver: one that was asked for just before shows a moment later. */
const LOOKS = 2;

export async function promise(member: Member, term: number, signal: AbortSignal): Promise<void> {
  const { homeDir, dataDir } = member.place;
  await savePromise(homeDir, { term, position: null });
  const holding = await holdingOf(member.place);
  // Without whole data there is nothing that could have been acknowledged, nor anything to say.
  if (holding.kind !== 'data' || holding.marker.incarnation === 0) {
    await savePromise(homeDir, { term, position: { timeline: 0, lsn: '0/0' } });
    return;
  }
  if (member.postmaster === null) {
    const control = await readControlFile(dataDir);
    await member.writeConfiguration(control.state !== 'shut down' && control.state !== 'in production');
  } else {
    await cutUpstream(member, member.orders.goal, signal);
    await savePromise(homeDir, { term, position: await positionOfStandby(member, signal) });
    return;
  }
  await savePromise(homeDir, { term, position: await positionOnDisk(dataDir, null, signal) });
}

/**
 * Sees to it that the standby receives nothing any more, and acknowledges nothing. PostgreSQL's startup process looks at
 * its configuration between the end of one receiver and the request for another (WaitForWALToBecomeAvailable in
 * xlogrecovery.c); the postmaster tells it of the new one before it serves the next connection.
 * @param goal whose configuration has no upstream
 */
export async function cutUpstream(member: Member, goal: Goal, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + CUT_MS;
  await member.reload(goal);
  for (let quiet = 0; quiet < LOOKS;) {
    signal.throwIfAborted();
    const { conninfo, receivers } = await look(member);
    if (conninfo === '' && receivers.length === 0) quiet += 1;
    else quiet = 0;
    if (conninfo === '') for (const pid of receivers) sendSignal(pid, 'SIGTERM');
    if (performance.now() > deadline) throw new PgorbitError('timed-out', `${member.place.member} does not let go of its upstream`, { hint: `pgorbit logs ${member.place.member}` });
    await sleep(POLL_MS, signal);
  }
}

/** By a connection of its own: an older one knows the older configuration. */
async function look(member: Member): Promise<{ conninfo: string; receivers: number[] }> {
  const session = member.connectToSelf();
  try {
    const rows = await session.query<{ conninfo: string; receivers: number[] }>(
      "select current_setting('primary_conninfo') as conninfo, array(select pid from pg_stat_activity where backend_type = 'walreceiver') as receivers",
    );
    return rows[0] ?? { conninfo: '?', receivers: [] };
  } finally {
    await session.close();
  }
}
