/** How far back in time an archive is. Pure but for its clock. */
import type { Lsn } from '../../wal/lsn.ts';

/** More moments than this are not remembered. */
const KEPT = 1_000;

export class Behind {
  readonly #now: () => number;
  /** What the source had, and when; only what is not archived yet. */
  #ahead: { at: number; end: Lsn }[] = [];
  #currentAt: number | null = null;

  /** @param now ms since 1970 */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The source has WAL up to `sourceEnd`, and what is before `archived` is archived. */
  saw(sourceEnd: Lsn, archived: Lsn): void {
    const now = this.#now();
    while (this.#ahead[0] !== undefined && this.#ahead[0].end <= archived) this.#currentAt = this.#ahead.shift()!.at;
    if (sourceEnd <= archived) this.#currentAt = now;
    else if (this.#ahead.length < KEPT) this.#ahead.push({ at: now, end: sourceEnd });
  }

  /** Everything that the source had at this moment is archived, ms since 1970; null while that is not known. */
  get currentAt(): number | null {
    return this.#currentAt;
  }
}
