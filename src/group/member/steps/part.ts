/**
 * A member leaves its group for good, a standby as a rule: it takes up what it has received, accepts writes on a timeline of
 * its own, and gets the mark of another cluster. Needs nobody: the group may be lost.
 */
import { PgorbitError } from '../../../errors.ts';
import { sleep } from '../../../lifecycle.ts';
import { writeMarker } from '../../../volume/marker.ts';
import { parseLsn } from '../../../wal/lsn.ts';
import type { Member } from '../member.ts';
import type { Account } from '../../model.ts';
import { setPassword } from '../accounts.ts';
import { partedFrom, writeParted, type NewOwner, type Parted } from '../parted.ts';
import { holdingOf } from '../place.ts';
import { replayedBy } from '../recovery-point.ts';
import { syncSlots } from '../slots.ts';
import { observe } from '../observe.ts';
import { cutUpstream } from './promise.ts';
import { promote } from './promote.ts';
import { replayTo } from './replay.ts';
import { positionOfStandby } from './wal-end.ts';

const POLL_MS = 20;
/** Until a standby that has just been started answers; it may have much to replay. */
const START_MS = 600_000;
const CHECKPOINT_MS = 600_000;
/** An archive, as a rule, is one cluster's alone. */
const ARCHIVE = ['archive_command', 'archive_library'];

export interface Leaving {
  /** Whose the data will be. */
  owner: NewOwner;
  /** The group's record names it as the primary. */
  primary: boolean;
  /** The new cluster's account for replication. */
  replication: Account;
}

/**
 * Afterwards the data are a cleanly stopped primary's of the cluster `owner`, and `parted.json` says so. Nobody else may
 * run the member meanwhile. May be repeated: what an earlier attempt did is found.
 * @throws `unsafe` where the data are not whole, or went to another cluster before; what the server throws.
 */
export async function part(member: Member, { owner, primary, replication }: Leaving, signal: AbortSignal): Promise<Parted> {
  const { place, orders } = member;
  const earlier = await partedFrom(place);
  if (earlier?.done) return earlier;
  const holding = await holdingOf(place);
  if (holding.kind !== 'data' || holding.marker.incarnation === 0) {
    throw new PgorbitError('unsafe', `${place.member} has no whole copy of the data: it can't be promoted`, { hint: '`pgorbit status` shows how far it is' });
  }
  const settings = {
    ...orders.spec.settings, ...Object.fromEntries(ARCHIVE.filter((name) => orders.spec.settings[name] !== undefined).map((name) => [name, ''])),
    // What is left to replay waits for no reader.
    max_standby_archive_delay: '0', max_standby_streaming_delay: '0',
  };
  // The goal whose configuration has no upstream.
  member.orders = { ...orders, goal: { kind: 'promise' }, spec: { ...orders.spec, settings }, leaves: true };
  // Nobody's yet: what an attempt that was killed meant to call it does not bind this one.
  let parted = earlier === null ? null : { ...earlier, owner };
  if (parted === null) await stepDown(member, primary, signal);
  if (await serves(member, signal)) {
    member.nowDoing('letting go of its upstream');
    await cutUpstream(member, member.orders.goal, signal);
    await member.sql().query('select pg_wal_replay_resume() where pg_is_wal_replay_paused()');
    member.nowDoing('replaying');
    await replayTo(member, parseLsn((await positionOfStandby(member, signal)).lsn), signal);
    parted = { owner, point: (await replayedBy(member.sql())).point, done: false };
    await writeParted(place.homeDir, parted);
    member.nowDoing('promoting');
    await promote(member, signal);
  } else if (parted !== null) await writeParted(place.homeDir, parted);
  if (parted === null) throw new PgorbitError('unsafe', `${place.member} accepts writes already, and nobody promoted it to this end`, { hint: '`pgorbit status`' });
  await syncSlots(member.sql(), []);
  // Nobody is there who could confirm it.
  await member.sql().query('set synchronous_commit = local');
  await setPassword(member.sql(), replication);
  await member.sql().query('checkpoint', [], { timeoutMs: CHECKPOINT_MS });
  await stopped(member);
  await writeMarker(place.dir, { ...holding.marker, ...parted.owner, incarnation: 1, term: 0, systemIdentifier: holding.marker.systemIdentifier ?? orders.systemIdentifier });
  await writeParted(place.homeDir, { ...parted, done: true });
  return { ...parted, done: true };
}

/**
 * Data that accepted writes become a standby's first: on the old timeline, members of the old group that come back would take
 * its WAL for theirs.
 */
async function stepDown(member: Member, primary: boolean, signal: AbortSignal): Promise<void> {
  await member.adopt();
  if ((await member.facts()).data?.standbySignal !== false) return;
  if (!primary) {
    throw new PgorbitError('unsafe', `${member.place.member} has the data of an earlier primary: they may hold what was never confirmed, and lack what was`, { hint: 'another member that is left' });
  }
  member.nowDoing('stopping');
  await stopped(member, signal);
  await member.becomeStandby();
}

async function stopped(member: Member, signal?: AbortSignal): Promise<void> {
  if (!(await member.stop('fast', signal))) throw new PgorbitError('timed-out', `${member.place.member} does not stop`, { hint: `pgorbit logs ${member.place.member}` });
}

/**
 * Starts it where it does not run, and waits until it answers. One that was found may be on its way out: its agent, which has
 * just begun, had told it to stop. @returns is it in recovery?
 */
async function serves(member: Member, signal: AbortSignal): Promise<boolean> {
  const started = performance.now();
  await member.adopt();
  const found = member.postmaster;
  for (;;) {
    signal.throwIfAborted();
    if (member.postmaster === null) await member.start((await member.facts()).data?.standbySignal === false ? 'primary' : 'standby');
    try {
      member.observation = { ...(await observe(member.sql())), pendingRestart: [] };
      return member.observation.inRecovery;
    } catch (error) {
      const ended = member.postmaster === null && found === null;
      if (ended || performance.now() - started > START_MS) throw error;
      await sleep(POLL_MS, signal);
    }
  }
}
