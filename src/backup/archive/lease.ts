/** The right to write to a group's archive: given out by the cluster under a number, kept as a lock in the repository. */
import { PgorbitError } from '../../errors.ts';
import { explainStore } from '../folder-store.ts';
import { leaseOf, lockFile, type Lease } from '../lock.ts';

/** A later archiver of the group is at work: this one has to end. */
export class LeaseLost extends PgorbitError {}

export interface Held {
  /** It was taken away: `check` throws for ever. */
  readonly lost: boolean;
  /** To be called before what was written counts. Throws LeaseLost, `locked` for any other who has it now, and what the store throws. */
  check(): void;
  release(): Promise<void>;
}

/**
 * What an archiver that was shut out writes until it notices does no harm: of one timeline there is only one WAL, so that
 * two who write the same segment write the same bytes.
 * @throws LeaseLost, `locked` while somebody else writes who has no lower number of this cluster, and what the store throws
 */
export async function holdArchive(file: string, what: string, lease: Lease): Promise<Held> {
  const refuseLater = (): void => {
    const other = leaseOf(file);
    if (other?.clusterId === lease.clusterId && other.epoch > lease.epoch) throw new LeaseLost('locked', `archiver ${other.epoch} of the group is at work, and this is archiver ${lease.epoch}`);
  };
  let lost = false;
  refuseLater();
  const release = await lockFile(file, what, lease);
  return {
    get lost() {
      return lost;
    },
    check() {
      let now;
      try {
        now = leaseOf(file);
      } catch (error) {
        throw explainStore(error, file);
      }
      if (!lost && now?.pid === process.pid && now.epoch === lease.epoch && now.clusterId === lease.clusterId) return;
      lost = true;
      refuseLater();
      throw new PgorbitError('locked', `${file} is no longer this archiver's`, { hint: 'it is taken again as soon as nobody holds it' });
    },
    release,
  };
}
