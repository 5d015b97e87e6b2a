/** Whether WAL that is due is gone for good: what the members say of it that may have it. Pure but for its clock. */
import type { SessionOptions } from './session.ts';
import type { ArchivePosition } from './writer.ts';

/** Everybody has said for so long, ms, that it lacks what is due: nobody will have it. */
export const GONE_MS = 5_000;
/** The same where some of them did not answer: one that comes back may have it. */
export const UNHEARD_MS = 600_000;

export class Missing {
  readonly #now: () => number;
  readonly #lacking = new Set<string>();
  #first: { due: ArchivePosition; at: number } | null = null;
  #triedBackup = false;

  /** @param now ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Is anything missing? */
  get any(): boolean {
    return this.#first !== null;
  }

  /** `member` answered, and lacks what is due. */
  lacks(member: string, due: ArchivePosition): void {
    this.#first ??= { due, at: this.#now() };
    this.#lacking.add(member);
  }

  /** Where the next session begins: beyond what is due only when it is certain that `members`, all who may have it, do not. */
  start(members: readonly string[]): NonNullable<SessionOptions['start']> {
    if (this.#first === null) return 'archive';
    const patience = members.every((member) => this.#lacking.has(member)) ? GONE_MS : UNHEARD_MS;
    if (this.#now() - this.#first.at < patience) return 'archive';
    // A backup that was taken since makes it good, with what followed that one.
    const start = this.#triedBackup ? 'now' : 'backup';
    this.#triedBackup = true;
    return start;
  }

  /** WAL comes again, from `from` on. @returns from where to where it is missing, or null: nothing is. */
  found(from: ArchivePosition): { from: ArchivePosition; to: ArchivePosition } | null {
    const first = this.#first;
    this.#first = null;
    this.#lacking.clear();
    this.#triedBackup = false;
    return first === null || (from.timeline === first.due.timeline && from.lsn <= first.due.lsn) ? null : { from: first.due, to: from };
  }
}
