/**
 * Becoming the primary on local storage, once the voters have promised and this member was chosen. It fetches what
 * somebody else has more, lets go of everybody, and accepts writes on the timeline that was handed out for this term.
 */
import { PgorbitError } from '../../../errors.ts';
import { sleep } from '../../../lifecycle.ts';
import { parseLsn } from '../../../wal/lsn.ts';
import { covers } from '../../decide/context.ts';
import type { CatchUp, Goal, WalPosition } from '../../model.ts';
import type { Member } from '../member.ts';
import { syncSlots } from '../slots.ts';
import { cutUpstream } from './promise.ts';
import { promote } from './promote.ts';
import { replayTo } from './replay.ts';
import { reserveTimelines } from './reserve-timelines.ts';
import { positionOfStandby } from './wal-end.ts';

type Promote = Extract<Goal, { kind: 'promote' }>;

const POLL_MS = 10;
/** A catch-up that gets no further for this long has failed. */
const STALLED_MS = 10_000;

export async function takeOverElected(member: Member, goal: Promote, term: number, signal: AbortSignal): Promise<void> {
  const story: string[] = [];
  const started = performance.now();
  if (goal.catchUp !== null) {
    member.nowDoing('catching up');
    await catchUp(member, goal.catchUp, term, signal);
    story.push(`fetched WAL up to ${goal.catchUp.lsn} from ${goal.catchUp.upstream.member} in ${ms(performance.now() - started)}`);
  }
  member.nowDoing('promoting');
  // The synchronous names are in force before the first commit can be made. A primary that was stopped needs no cut.
  if (goal.atLeast === null || !(await isPrepared(member, goal))) await cutUpstream(member, goal, signal);
  if (goal.atLeast !== null) await mustHave(member, goal.atLeast, signal);
  await member.sql().query('select pg_wal_replay_resume() where pg_is_wal_replay_paused()');
  // Asked to promote, a server that is far behind in replaying what it has could not be told from one that hangs.
  member.nowDoing('replaying');
  await replayTo(member, parseLsn((await positionOfStandby(member, signal)).lsn), signal);
  member.nowDoing('promoting');
  await syncSlots(member.sql(), goal.slots);
  await reserveTimelines(member, goal.timeline);
  const promoting = performance.now();
  signal.throwIfAborted();
  if (!member.environment.leased() || member.environment.superseded()) {
    throw new PgorbitError('unsafe', `${member.place.member} is not promoted: the agents' majority is out of reach, so that another may have been chosen`);
  }
  await member.markTerm(term);
  await promote(member, signal);
  member.tell({ level: 'info', kind: 'took-over', message: `${member.place.member} took over: ${[...story, `promoted in ${ms(performance.now() - promoting)}`].join(', ')}` });
}

/** It runs with the names already that it got for this moment. */
async function isPrepared(member: Member, goal: Promote): Promise<boolean> {
  const rows = await member.sql().query<{ names: string }>("select current_setting('synchronous_standby_names') as names");
  return rows[0]?.names === goal.synchronousNames;
}

/** A primary that stops waits for its standbys, but not for one that is not connected at that moment. */
async function mustHave(member: Member, end: WalPosition, signal: AbortSignal): Promise<void> {
  const own = await positionOfStandby(member, signal);
  if (covers(own, end)) return;
  throw new PgorbitError('unsafe', `${member.place.member} has WAL up to ${own.lsn} of timeline ${own.timeline}, and the primary was stopped at ${end.lsn} of timeline ${end.timeline}: it can't be promoted without the rest`);
}

/** Where the receiver stands on the timeline that it streams; nothing of it where it has stopped. */
const PROGRESS = `
select received_tli as timeline, flushed_lsn::text as received, pg_last_wal_replay_lsn()::text as replayed
from (select) one left join pg_stat_wal_receiver on true`;
interface Progress {
  timeline: number | null;
  received: string | null;
  replayed: string | null;
}

/** Streams until it has the position. An upstream that is a logger serves what the old primary gave it. */
async function catchUp(member: Member, target: CatchUp, term: number, signal: AbortSignal): Promise<void> {
  await member.reload({ kind: 'follow', upstream: target.upstream, slot: '', name: `${member.place.member}@${term}` });
  const end = parseLsn(target.lsn);
  let last = -1n;
  let movedAt = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const rows = await member.sql().query<Progress>(PROGRESS);
    const { timeline = null, received = null, replayed = null } = rows[0] ?? {};
    const now = [received, replayed].map((lsn) => (lsn === null ? 0n : parseLsn(lsn))).reduce((a, b) => (a > b ? a : b));
    // What it received counts to the byte: an upstream that is a logger has what it was sent, which may end within a record.
    if (timeline !== null && received !== null && covers({ timeline, lsn: received }, target)) return;
    if (now >= end && covers(await positionOfStandby(member, signal), target)) return;
    if (now > last) movedAt = performance.now();
    else if (performance.now() - movedAt > STALLED_MS) {
      throw new PgorbitError('postgres-failed', `${member.place.member} lacks WAL up to ${target.lsn} and does not get it from ${target.upstream.member}`, { hint: `pgorbit logs ${member.place.member}` });
    }
    last = now;
    await sleep(POLL_MS, signal);
  }
}

const ms = (duration: number): string => `${Math.round(duration)} ms`;
