/** The right to write to a group's archive: given out by the cluster under a number, kept as a lock in the repository. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PgorbitError } from '../../errors.ts';
import { Lifecycle } from '../../lifecycle.ts';
import { explainStore } from '../folder-store.ts';
import { leaseOf, lockFile, type Lease } from '../lock.ts';
import type { Held as StoreLock, Store } from '../store.ts';

/** A later archiver of the group is at work: this one has to end. */
export class LeaseLost extends PgorbitError {}

export interface Held {
  /** Aborts when it was taken away: `check` throws for ever. */
  readonly lost: AbortSignal;
  /** To be called before what was written counts. Throws LeaseLost, `locked` for any other who has it now, and what the store throws. */
  check(): void;
  release(): Promise<void>;
}

/**
 * What an archiver that was shut out writes until it notices does no harm: of one timeline there is only one WAL, so that
 * two who write the same segment write the same bytes.
 * @throws LeaseLost, `locked` while somebody else writes who has no lower number of this cluster, and what the store throws
 */
export function holdArchive(store: Store, key: string, what: string, lease: Lease): Promise<Held> {
  const file = store.local(key);
  return file === null ? holdInStore(store, key, what, lease) : holdFile(file, what, lease);
}

const later = (epoch: number, lease: Lease): LeaseLost => new LeaseLost('locked', `archiver ${epoch} of the group is at work, and this is archiver ${lease.epoch}`);

/** A file that a later archiver puts its own in the place of. */
async function holdFile(file: string, what: string, lease: Lease): Promise<Held> {
  const lost = new AbortController();
  const refuseLater = (): void => {
    const other = leaseOf(file);
    if (other?.clusterId === lease.clusterId && other.epoch > lease.epoch) throw later(other.epoch, lease);
  };
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o711 });
    refuseLater();
    const release = await lockFile(file, what, lease);
    return {
      lost: lost.signal, release,
      check() {
        const now = readLease(file);
        if (!lost.signal.aborted && now?.pid === process.pid && now.epoch === lease.epoch && now.clusterId === lease.clusterId) return;
        lost.abort();
        refuseLater();
        throw new PgorbitError('locked', `${file} is no longer this archiver's`, { hint: 'it is taken again as soon as nobody holds it' });
      },
    };
  } catch (error) {
    throw explainStore(error, file);
  }
}

function readLease(file: string): ReturnType<typeof leaseOf> {
  try {
    return leaseOf(file);
  } catch (error) {
    throw explainStore(error, file);
  }
}

/** Between looks for a later archiver, ms. */
const LOOK_MS = 5_000;

/**
 * The newest number is a value beside the lock, which whoever has a lower one gives up when it sees that. One that is killed, or does
 * not reach the store any more, loses the lock by the store's own rules.
 */
async function holdInStore(store: Store, key: string, what: string, lease: Lease): Promise<Held> {
  const own = Buffer.from(JSON.stringify(lease));
  /** Throws LeaseLost. */
  const announce = async (): Promise<void> => {
    const text = await store.get(`${key}.epoch`);
    const newest = text === null ? null : (JSON.parse(text.toString('utf8')) as Lease);
    if (newest?.clusterId === lease.clusterId && newest.epoch > lease.epoch) throw later(newest.epoch, lease);
    if (text?.equals(own) !== true) await store.put(`${key}.epoch`, own);
  };
  await announce();
  const lock: StoreLock = await store.lock(key, what);
  const lost = new AbortController();
  const life = new Lifecycle((error) => {
    // That the store does not answer is for the lock to judge.
    if (error instanceof LeaseLost) lost.abort(error);
  });
  life.every(LOOK_MS, 'looking for a later archiver', announce);
  const signal = AbortSignal.any([lost.signal, lock.lost]);
  return {
    lost: signal,
    check: () => signal.throwIfAborted(),
    async release() {
      await life.stop();
      await lock.release();
    },
  };
}
