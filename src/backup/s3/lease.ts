/**
 * One at a time, in a store without a rename, and whether or not it knows conditional writes: one scheme for all, because
 * two could miss each other.
 *
 * Who wants a lock puts a claim, a value of its own below the lock's key, and then looks at all claims. Who sees no other
 * holds the lock; who sees one takes its own away again. Puts are visible to every list that begins after them (S3 since
 * 2020, MinIO, Ceph), so of two, the one whose claim came later sees the other's: there are never two holders, at worst
 * none, and then both try again after a random while.
 *
 * A claim is a lease. Its holder puts it again all the time; one that nobody put again for so long, by the server's
 * clock, is dead. A holder that could not renew it for a shorter while, by its own clock, knows that it has lost the lock
 * before anybody else may take it. What a holder that was stopped in between still has on its way can do no harm: it writes
 * below a name that whoever cleared after it has marked for ever (S3Store.remove).
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { identify, isAlive, type ProcessId } from '../../engine/proc.ts';
import { PgorbitError } from '../../errors.ts';
import { Lifecycle, sleep } from '../../lifecycle.ts';
import type { Held } from '../store.ts';
import type { S3Client } from './client.ts';

export interface LeaseTimes {
  /** ms. `held` and twice `renew`, the longest that a renewal takes, are together no more than `lease`. */
  lease: number;
  held: number;
  renew: number;
  /** Before two that came at the same time try again, more or less. */
  wait: number;
}

export const LEASE: LeaseTimes = { lease: 90_000, held: 60_000, renew: 15_000, wait: 300 };
const TRIES = 5;
/** Claims that are younger than this, compared with ours, may be of somebody who is looking just as we are. */
const SAME_TIME_MS = 3_000;

/** Claims of this process that it wants or holds. Another one of it is left over: it could not be taken away. */
const OURS = new Set<string>();

interface Claim {
  host: string;
  machine: ProcessId | null;
  what: string;
  since: string;
}

export interface LeaseOptions {
  client: S3Client;
  /** One whose requests end when the signal aborts, and are sent once. */
  once: (signal: AbortSignal, silence: number) => S3Client;
  /** The lock's key, whole. */
  key: string;
  /** How messages name it. */
  shown: string;
  what: string;
  signal: AbortSignal;
  times: LeaseTimes;
}

/** Throws PgorbitError `locked`, and what the store cannot be reached with. */
export async function takeLease(options: LeaseOptions): Promise<Held> {
  for (let tries = 1; ; tries++) {
    try {
      return await claim(options);
    } catch (error) {
      if (!(error instanceof Both) || tries === TRIES) throw error;
    }
    await sleep(options.times.wait * (0.5 + Math.random()), options.signal);
    options.signal.throwIfAborted();
  }
}

/** Two came at the same time; it is the other's only if it keeps it. */
class Both extends PgorbitError {}

async function claim({ client, once, key, shown, what, times }: LeaseOptions): Promise<Held> {
  const prefix = `${key}/`;
  const own = `${prefix}${randomBytes(8).toString('hex')}`;
  const since = new Date().toISOString();
  const text = Buffer.from(JSON.stringify({ host: hostname(), machine: identify(process.pid), what, since } satisfies Claim));
  let sure = clock();
  OURS.add(own);
  try {
    await client.put(own, text);
    await refuseOthers(client, prefix, own, { shown, times });
  } catch (error) {
    OURS.delete(own);
    await client.delete(own).catch(() => {});
    throw error;
  }
  const lost = new AbortController();
  const life = new Lifecycle(() => {});
  const lose = (): void => lost.abort(new PgorbitError('locked', `${shown} could not be kept: the store did not answer for ${Math.round(times.held / 1000)} s, and another may have it now`, { hint: 'nothing that counts was left; run it again' }));
  life.run('keeping the lock', async (signal) => {
    const renewer = once(signal, times.renew);
    while (!signal.aborted) {
      await sleep(times.renew, signal);
      const begun = clock();
      if (signal.aborted) return;
      if (begun - sure >= times.held) return lose();
      try {
        await renewer.put(own, text);
        sure = begun;
      } catch {
        // It is tried again until it is too late.
        if (clock() - sure >= times.held) return lose();
      }
    }
  });
  return {
    lost: lost.signal,
    release: async () => {
      await life.stop();
      OURS.delete(own);
      // It would be dead in a while by itself.
      await client.delete(own).catch(() => {});
    },
  };
}

/** ms since the machine was booted, also those that it slept through: other clocks of Node leave them out (proc_uptime(5)). */
function clock(): number {
  return Number.parseFloat(readFileSync('/proc/uptime', 'latin1')) * 1000;
}

async function refuseOthers(client: S3Client, prefix: string, own: string, { shown, times }: { shown: string; times: LeaseTimes }): Promise<void> {
  const { values } = await client.list(prefix, true);
  const mine = values.find(({ key }) => key === own);
  if (mine === undefined) throw new PgorbitError('operation-failed', `${shown} does not show what was put there`, { hint: 'the store must show at once what was put: S3, MinIO and Ceph do' });
  const now = Math.max(client.now ?? 0, mine.modifiedMs);
  for (const other of values) {
    if (other.key === own) continue;
    const owner = await readClaim(client, other.key);
    if (owner === null) continue;
    if (now - other.modifiedMs > times.lease || hasEnded(owner, other.key)) {
      await client.delete(other.key);
      continue;
    }
    const message = `${owner.what} is at work (on ${owner.host}, since ${owner.since})`;
    if (Math.abs(mine.modifiedMs - other.modifiedMs) < SAME_TIME_MS) throw new Both('locked', message, { hint: 'wait until it has ended and try again' });
    throw new PgorbitError('locked', message, { hint: `wait until it has ended; one that was killed is forgotten ${Math.round(times.lease / 1000)} s later` });
  }
}

/** Null for one that has gone meanwhile. What cannot be read counts as somebody. */
async function readClaim(client: S3Client, key: string): Promise<Claim | null> {
  const text = await client.get(key);
  if (text === null) return null;
  try {
    return JSON.parse(text.toString('utf8')) as Claim;
  } catch {
    return { host: 'an unknown host', machine: null, what: 'something', since: 'an unknown time' };
  }
}

/** Sure only of this machine's, since it was booted last. */
function hasEnded({ host, machine }: Claim, key: string): boolean {
  const here = identify(process.pid);
  if (machine === null || here === null || host !== hostname() || machine.bootId !== here.bootId) return false;
  return !isAlive(machine) || (machine.pid === here.pid && machine.startTime === here.startTime && !OURS.has(key));
}
