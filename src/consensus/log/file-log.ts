/**
 * The durable log in a folder:
 *
 *   control            term and vote: a frame, replaced whole
 *   snapshot-<index>   the newest snapshot: a frame, replaced whole
 *   log-<number>       segments of frames, only ever appended to
 *
 * Everything that save() is given with mustSync is on disk when it resolves. A write that fails leaves the log
 * unusable until it is opened again: after a failed fsync nobody knows what is on disk.
 */
import { mkdir, open, readdir, readFile, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, PgorbitError } from '../../errors.ts';
import { EMPTY_HARD_STATE, EMPTY_SNAPSHOT, type RaftStart, type Ready, type Snapshot } from '../core/types.ts';
import { syncFolder, TEMPORARY, writeDurably } from '../../durable.ts';
import { encodeFrame, scanFrames } from './frame.ts';
import { joinSnapshot, LOG_VERSION, replay, REPLACE_HINT, type LogRecord, type Recovered } from './recover.ts';
import type { RaftStorage } from './storage.ts';

export interface FileLogOptions {
  /** Bytes after which a new segment is begun. */
  segmentBytes?: number;
}

interface Segment {
  number: number;
  /** The highest entry that any of its records holds. */
  maxIndex: number;
}

const NUMBER_WIDTH = 12;
const nameOf = (prefix: string, number: number): string => `${prefix}-${String(number).padStart(NUMBER_WIDTH, '0')}`;
const numbered = (names: string[], prefix: string): number[] =>
  names.filter((name) => new RegExp(`^${prefix}-\\d{${NUMBER_WIDTH}}$`).test(name))
    .map((name) => Number(name.slice(prefix.length + 1))).sort((a, b) => a - b);

export class FileLog implements RaftStorage {
  readonly dir: string;
  start: RaftStart = { hardState: EMPTY_HARD_STATE, snapshot: EMPTY_SNAPSHOT, entries: [] };
  /** What was found and put right at open, in words: an unfinished write that was cut off. */
  readonly notes: string[] = [];
  readonly #segmentBytes: number;
  #segments: Segment[] = [];
  #handle: FileHandle | undefined;
  #size = 0;
  #control: { term: number; vote: string | null } | null = null;
  #commit = 0;
  #failure: PgorbitError | undefined;

  private constructor(dir: string, options: FileLogOptions) {
    this.dir = dir;
    this.#segmentBytes = options.segmentBytes ?? 1024 * 1024;
  }

  /** Throws PgorbitError `state-corrupt` when what is there cannot be trusted. */
  static async open(dir: string, options: FileLogOptions = {}): Promise<FileLog> {
    const log = new FileLog(dir, options);
    try {
      await log.#load();
    } catch (error) {
      await log.close();
      throw error;
    }
    return log;
  }

  get blank(): boolean {
    return this.#control === null;
  }

  async bootstrap(snapshot: Snapshot): Promise<void> {
    if (!this.blank) throw new PgorbitError('unsafe', `${this.dir} already belongs to a group`);
    await this.#guard(async () => {
      await this.#writeSnapshot(snapshot);
      await this.#writeControl(0, null);
      this.start = { hardState: { term: 0, vote: null, commit: snapshot.index }, snapshot, entries: [] };
      this.#commit = snapshot.index;
    });
  }

  async save({ hardState, entries, snapshot, mustSync }: Pick<Ready, 'hardState' | 'entries' | 'snapshot' | 'mustSync'>): Promise<void> {
    await this.#guard(async () => {
      if (hardState !== null) {
        this.#commit = hardState.commit;
        // Before the entries: a log may never hold a term that the node has not yet entered.
        if (this.#control?.term !== hardState.term || this.#control.vote !== hardState.vote) {
          await this.#writeControl(hardState.term, hardState.vote);
        }
      }
      if (snapshot !== null) {
        await this.#writeSnapshot(snapshot);
        await this.#reset(snapshot.index);
      }
      // A commit index alone waits for the next frame: a crash may forget it.
      if (entries.length > 0 || (mustSync && hardState !== null && snapshot === null)) {
        await this.#append({ kind: 'save', entries, commit: this.#commit });
      }
    });
  }

  async compact(snapshot: Snapshot): Promise<void> {
    await this.#guard(async () => {
      await this.#writeSnapshot(snapshot);
      // From the front, so that what is left is always a suffix; the last one is being written to.
      while (this.#segments.length > 1 && this.#segments[0]!.maxIndex <= snapshot.index) await this.#dropFirst();
    });
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
  }

  async #guard(work: () => Promise<void>): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await work();
    } catch (error) {
      this.#failure = error instanceof PgorbitError ? error : new PgorbitError(
        errnoOf(error) === 'ENOSPC' ? 'volume-full' : 'agent-failed',
        `the consensus log in ${this.dir} cannot be written: ${error instanceof Error ? error.message : String(error)}`,
        { hint: 'put the disk right, then start the agent again: what was acknowledged is there', cause: error },
      );
      throw this.#failure;
    }
  }

  async #writeControl(term: number, vote: string | null): Promise<void> {
    await writeDurably(join(this.dir, 'control'), encodeFrame({ v: LOG_VERSION, term, vote }));
    this.#control = { term, vote };
  }

  async #writeSnapshot(snapshot: Snapshot): Promise<void> {
    await writeDurably(join(this.dir, nameOf('snapshot', snapshot.index)), encodeFrame({ v: LOG_VERSION, snapshot }));
    for (const index of numbered(await readdir(this.dir), 'snapshot')) {
      if (index !== snapshot.index) await rm(join(this.dir, nameOf('snapshot', index)));
    }
  }

  async #append(record: LogRecord): Promise<void> {
    if (this.#handle === undefined || this.#size >= this.#segmentBytes) await this.#rotate();
    const frame = encodeFrame(record);
    await this.#handle!.appendFile(frame);
    await this.#handle!.datasync();
    this.#size += frame.length;
    const segment = this.#segments.at(-1)!;
    if (record.kind === 'save') for (const entry of record.entries) segment.maxIndex = Math.max(segment.maxIndex, entry.index);
  }

  async #rotate(): Promise<void> {
    await this.close();
    const number = (this.#segments.at(-1)?.number ?? 0) + 1;
    this.#handle = await open(join(this.dir, nameOf('log', number)), 'ax', 0o600);
    this.#segments.push({ number, maxIndex: 0 });
    this.#size = 0;
    const frame = encodeFrame({ kind: 'segment', v: LOG_VERSION, number } satisfies LogRecord);
    await this.#handle.appendFile(frame);
    await this.#handle.datasync();
    await syncFolder(this.dir);
    this.#size = frame.length;
  }

  async #reset(index: number): Promise<void> {
    await this.#rotate();
    await this.#append({ kind: 'reset', index });
    while (this.#segments.length > 1) await this.#dropFirst();
  }

  async #dropFirst(): Promise<void> {
    await rm(join(this.dir, nameOf('log', this.#segments[0]!.number)));
    this.#segments.shift();
  }

  // ---------------------------------------------------------------- open

  async #load(): Promise<void> {
    await mkdir(this.dir, { recursive: true, mode: 0o700 });
    const names = await readdir(this.dir);
    for (const name of names) if (name.endsWith(TEMPORARY)) await rm(join(this.dir, name));
    const recovered = await this.#loadSegments(numbered(names, 'log'));
    if (!names.includes('control')) {
      if (recovered.entries.length > 0) throw this.#corrupt('control', 'it is missing');
      // A crash in the middle of bootstrap: nothing of it was ever used.
      return;
    }
    const control = await this.#readWhole<{ v: number; term: number; vote: string | null }>('control');
    this.#control = { term: control.term, vote: control.vote };
    const newest = numbered(names, 'snapshot').at(-1);
    const snapshot = newest === undefined
      ? EMPTY_SNAPSHOT : (await this.#readWhole<{ v: number; snapshot: Snapshot }>(nameOf('snapshot', newest))).snapshot;
    const { entries, commit, reset } = joinSnapshot(recovered, snapshot);
    if (reset) await this.#guard(() => this.#reset(snapshot.index));
    const last = entries.at(-1)?.index ?? snapshot.index;
    this.#commit = Math.min(commit, last);
    this.start = { hardState: { ...this.#control, commit: this.#commit }, snapshot, entries };
  }

  async #loadSegments(numbers: number[]): Promise<Recovered> {
    const recovered: Recovered = { entries: [], commit: 0 };
    for (const [at, number] of numbers.entries()) {
      const name = nameOf('log', number);
      if (at > 0 && number !== numbers[at - 1]! + 1) throw this.#corrupt(nameOf('log', number - 1), 'it is missing');
      const content = await readFile(join(this.dir, name));
      const { payloads, end, tail } = scanFrames(content);
      const last = at === numbers.length - 1;
      if (tail === 'corrupt' || (tail === 'torn' && !last)) throw this.#corrupt(name, `the record at byte ${end} is not intact, and later ones are`);
      replay(recovered, payloads as LogRecord[], name);
      const indexes = (payloads as LogRecord[]).flatMap((record) => (record.kind === 'save' ? record.entries.map(({ index }) => index) : []));
      this.#segments.push({ number, maxIndex: indexes.reduce((a, b) => Math.max(a, b), 0) });
      if (last) await this.#reopen(name, content.length, end);
    }
    return recovered;
  }

  /** Goes on after the last intact frame of the last segment; a segment whose very header is torn is begun anew. */
  async #reopen(name: string, size: number, end: number): Promise<void> {
    const path = join(this.dir, name);
    if (end < size) {
      this.notes.push(`${path}: an unfinished write of ${size - end} bytes at byte ${end} was cut off; it was never acknowledged`);
    }
    if (end === 0) {
      this.#segments.pop();
      await rm(path);
      await syncFolder(this.dir);
      return;
    }
    this.#handle = await open(path, 'a', 0o600);
    if (end < size) {
      await this.#handle.truncate(end);
      await this.#handle.sync();
    }
    this.#size = end;
  }

  async #readWhole<T extends { v: number }>(name: string): Promise<T> {
    const { payloads, tail } = scanFrames(await readFile(join(this.dir, name)));
    const value = payloads[0] as T | undefined;
    if (tail !== 'clean' || payloads.length !== 1 || value === undefined) throw this.#corrupt(name, 'its checksum does not match');
    if (value.v !== LOG_VERSION) throw this.#corrupt(name, `it has version ${value.v}, this pgorbit reads ${LOG_VERSION}`);
    return value;
  }

  #corrupt(name: string, why: string): PgorbitError {
    return new PgorbitError('state-corrupt', `${join(this.dir, name)} is damaged: ${why}`, { hint: REPLACE_HINT });
  }
}
