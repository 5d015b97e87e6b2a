/**
 * An archiver that nobody has to look after: whatever keeps it from its work is told and tried again, with each member
 * that may have the WAL. Only a later archiver of the same group ends it.
 */
import type { ErrorReport } from '../../errors.ts';
import type { ArchiveProgress } from '../../group/model.ts';
import { Lifecycle, sleep } from '../../lifecycle.ts';
import { formatLsn, type Lsn, segmentName } from '../../wal/lsn.ts';
import type { Lease } from '../lock.ts';
import { SystemFolder } from '../repository.ts';
import type { Identity } from '../source.ts';
import type { Store } from '../store.ts';
import { explain, newestBackupEnd } from './archiver.ts';
import { Behind } from './behind.ts';
import { readGap, writeGap } from './gap.ts';
import { holdArchive, type Held, LeaseLost } from './lease.ts';
import { Missing } from './missing.ts';
import { type OpenArchive, openArchive } from './open.ts';
import { type ArchiveSource, archiveSession, WalGone } from './session.ts';
import type { ArchivePosition, ArchiveWriter } from './writer.ts';

/** What the archiver is to do now; it may change while it runs. */
export interface ArchiveOrders {
  /** In order: the first that answers and has what is due. Without a slot: the member keeps WAL by other means. */
  sources: (ArchiveSource & { slot: string | null })[];
  flushMs: number;
}

export interface ContinuousOptions {
  cluster: string;
  group: string;
  lease: Lease;
  /** Opens the repository, which is made where there is none when `make` says so. Called before each session after a failure. */
  open: (make: boolean) => Promise<Store>;
  /** The repository, in messages. */
  where: string;
  orders: () => ArchiveOrders;
  onProgress: (progress: Progress) => void;
  signal: AbortSignal;
  /** ms since 1970: processes of this machine compare it. */
  now: () => number;
}

export interface Progress extends ArchiveProgress {
  state: 'starting' | 'streaming' | 'waiting';
  /** Everything that the source had at that moment is archived, ms since 1970. */
  currentAt: number | null;
  error: ErrorReport | null;
}

export const BEGINNING: Progress = { state: 'starting', source: null, timeline: null, lsn: null, segment: null, currentAt: null, error: null, gap: null };

const QUICK_MS = 200;
const SLOW_MS = 1_000;
/** Orders are looked at this often while WAL comes. */
const LOOK_MS = 500;
/** What is to be made durable is looked at this often at least. */
const FLUSH_MS = 1_000;
/** With WAL from another than the first source, that one is tried again after this. */
const BACK_MS = 15_000;
/** Between looks whether a newer backup has made a gap harmless. */
const GAP_LOOK_MS = 30_000;

/** Runs until the signal aborts. Throws LeaseLost. */
export async function archiveContinuously(options: ContinuousOptions): Promise<void> {
  const { signal, orders } = options;
  const archiver = new Continuous(options);
  try {
    for (let attempt = 0; !signal.aborted; ) {
      const { sources } = orders();
      const source = sources[attempt % Math.max(1, sources.length)];
      const streamed = source !== undefined && (await archiver.session(source));
      attempt = streamed ? 0 : attempt + 1;
      await sleep(streamed ? QUICK_MS : SLOW_MS, signal);
    }
  } finally {
    await archiver.stop();
  }
}

class Continuous {
  readonly #options: ContinuousOptions;
  readonly #behind: Behind;
  readonly #missing: Missing;
  readonly #life = new Lifecycle((error) => this.#tell({ error: explain(error, this.#options.where).toReport() }));
  #progress = BEGINNING;
  #store: Store | null = null;
  #system: SystemFolder | null = null;
  #held: Held | null = null;
  #archive: OpenArchive | null = null;

  constructor(options: ContinuousOptions) {
    this.#options = options;
    this.#behind = new Behind(options.now);
    this.#missing = new Missing(options.now);
    this.#life.every(GAP_LOOK_MS, 'looking whether the gap still matters', async () => {
      if (this.#progress.gap !== null && this.#system !== null) this.#tell({ gap: await readGap(this.#system) });
    });
  }

  async stop(): Promise<void> {
    await this.#life.stop();
    await this.#archive?.close();
    await this.#held?.release();
  }

  /** One session with one source, to its end. @returns whether WAL came. */
  async session(source: ArchiveOrders['sources'][number]): Promise<boolean> {
    const { signal, orders, now } = this.#options;
    const began = now();
    const { flushMs } = orders();
    const cut = new AbortController();
    const watch = setInterval(() => {
      if (!isRightful(source, orders().sources, now() - began) || orders().flushMs !== flushMs) cut.abort();
    }, LOOK_MS);
    let streamed = false;
    try {
      this.#store ??= await this.#options.open(this.#held === null);
      await archiveSession({
        source, slot: source.slot === null ? null : { name: source.slot, make: false }, signal: AbortSignal.any([signal, cut.signal]), now: () => performance.now(),
        // A store that is no folder gets the part of a segment in its own time.
        flushMs: this.#store.local('.') === null ? Math.min(flushMs, FLUSH_MS) : flushMs,
        start: this.#missing.start(orders().sources.map(({ member }) => member)),
        open: (identity) => this.#open(identity),
        wanted: async () => (this.#system === null ? null : newestBackupEnd(this.#system)),
        check: () => this.#held?.check(),
        onStreaming: (from) => {
          streamed = true;
          this.#streams(source.member, from);
        },
        onFlushed: (writer, sourceEnd) => this.#flushed(writer, sourceEnd, streamed),
      });
    } catch (error) {
      if (error instanceof LeaseLost) throw error;
      if (!signal.aborted && !cut.signal.aborted) this.#failed(source.member, error);
    } finally {
      clearInterval(watch);
    }
    return streamed;
  }

  async #open({ systemIdentifier, segmentSize }: Identity): Promise<ArchiveWriter> {
    const { cluster, group, lease, orders } = this.#options;
    const store = this.#store!;
    const system = new SystemFolder(store, SystemFolder.nameOf(cluster, group, systemIdentifier));
    await this.#archive?.close();
    this.#archive = null;
    if (this.#held?.lost.aborted !== false || this.#system?.name !== system.name) {
      await this.#held?.release();
      this.#held = null;
      this.#held = await holdArchive(store, system.key('archive.lock'), `the archiver of ${cluster}`, lease);
      this.#system = system;
      this.#tell({ gap: await readGap(system) });
    }
    this.#held.check();
    this.#archive = await openArchive(system, segmentSize, this.#held.lost, orders().flushMs);
    return this.#archive.writer;
  }

  #streams(source: string, from: ArchivePosition): void {
    const gap = this.#missing.found(from);
    this.#tell({ state: 'streaming', source, timeline: from.timeline, error: null });
    if (gap === null) return;
    const told = { timeline: gap.from.timeline, from: formatLsn(gap.from.lsn), to: formatLsn(gap.to.lsn) };
    this.#tell({ gap: told });
    const system = this.#system!;
    this.#life.run('keeping the gap in mind', () => writeGap(system, told));
  }

  #flushed(writer: ArchiveWriter, sourceEnd: Lsn, streamed: boolean): void {
    const { flushed, timeline, segmentSize } = writer;
    this.#behind.saw(sourceEnd, flushed);
    if (streamed) this.#tell({ timeline, lsn: formatLsn(flushed), segment: segmentName(timeline, flushed - 1n, segmentSize), currentAt: this.#behind.currentAt });
  }

  #failed(member: string, error: unknown): void {
    const told = explain(error, this.#options.where).toReport();
    if (error instanceof WalGone) this.#missing.lacks(member, error.due);
    // That WAL is missing says more than that somebody else is away.
    const known = this.#missing.any && !(error instanceof WalGone) ? this.#progress.error : null;
    // Whatever is mounted there now may be another: nothing is written before it is seen to be the repository.
    this.#store = null;
    this.#tell({ state: 'waiting', error: known ?? told });
  }

  #tell(change: Partial<Progress>): void {
    this.#progress = { ...this.#progress, ...change };
    this.#options.onProgress(this.#progress);
  }
}

/** The first of the present sources; or another one of them, until that is to be tried again. Pure. */
function isRightful(source: ArchiveSource, sources: readonly ArchiveSource[], lastedMs: number): boolean {
  const at = sources.findIndex((one) => one.member === source.member && one.host === source.host && one.port === source.port && one.password === source.password);
  return at === 0 || (at > 0 && lastedMs < BACK_MS);
}
