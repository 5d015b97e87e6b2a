/**
 * What a logger must never forget: whose WAL it keeps, which terms it has promised to, and its slots. One small file,
 * versioned and checksummed, written aside, fsynced and renamed; damage is an error, never a fresh start.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { PgorbitError, errnoOf } from '../../errors.ts';
import { crc32c } from '../crc32c.ts';

export interface LoggerState {
  /** Null until the first upstream has said whose WAL this is. */
  systemIdentifier: string | null;
  segmentSize: number;
  /** The upstream's server_version: what followers are told. */
  serverVersion: string;
  /** Nothing of a lower term is acknowledged any more. */
  promisedTerm: number;
  /** The term under which WAL was last accepted: of two logs, the one of the higher term wins. */
  walTerm: number;
  /** The timeline of the newest WAL. */
  timeline: number;
  /**
   * What the upstream had (X/Y) when the first WAL was stored, until that is here too. A logger that began anew in the
   * place of one that was lost may lack until then what its predecessor acknowledged.
   */
  floor: string | null;
  /** Physical slots, by name: no WAL from `restartLsn` (X/Y) on is purged; null reserves nothing yet. */
  slots: Record<string, { restartLsn: string | null }>;
}

const VERSION = 1;
/** More than the file and its folder's entry take. */
const RESERVE_BYTES = 64 << 10;
const EMPTY: LoggerState = { systemIdentifier: null, segmentSize: 0, serverVersion: '', promisedTerm: 0, walTerm: 0, timeline: 0, floor: null, slots: {} };

export class DurableState {
  readonly #file: string;
  #value: LoggerState;

  private constructor(file: string, value: LoggerState) {
    this.#file = file;
    this.#value = value;
  }

  /** Reads the file, or starts with nothing where there is none. Throws PgorbitError `state-corrupt`. */
  static open(file: string): DurableState {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return new DurableState(file, EMPTY);
      throw error;
    }
    return new DurableState(file, decode(file, text));
  }

  get value(): Readonly<LoggerState> {
    return this.#value;
  }

  /** Durable when it returns; unchanged when it throws. */
  save(change: Partial<LoggerState>): void {
    const next = { ...this.#value, ...change };
    try {
      this.#write(next);
    } catch (error) {
      if (!isFull(error)) throw error;
      // A logger whose WAL has filled the disk can still promise.
      rmSync(this.#reserve, { force: true });
      this.#write(next);
    }
    this.#value = next;
    this.#keepReserve();
  }

  get #reserve(): string {
    return `${this.#file}.reserve`;
  }

  /** Room for the next write, where there is room. */
  #keepReserve(): void {
    if (existsSync(this.#reserve)) return;
    try {
      writeFileSync(this.#reserve, Buffer.alloc(RESERVE_BYTES));
    } catch (error) {
      rmSync(this.#reserve, { force: true });
      if (!isFull(error)) throw error;
    }
  }

  #write(next: LoggerState): void {
    const body = JSON.stringify(next);
    const aside = `${this.#file}.new`;
    const fd = openSync(aside, 'w', 0o600);
    try {
      writeSync(fd, `${VERSION} ${crc32c(Buffer.from(body)).toString(16)} ${body}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(aside, this.#file);
    fsyncDir(dirname(this.#file));
  }
}

const isFull = (error: unknown): boolean => errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT';

function decode(file: string, text: string): LoggerState {
  const match = /^(\d+) ([0-9a-f]+) (\{.*\})\n$/s.exec(text);
  const hint = 'remove the logger and add it again: what it has acknowledged is no longer certain';
  if (!match) throw new PgorbitError('state-corrupt', `${file} is not a logger's state`, { hint });
  if (Number(match[1]) !== VERSION) throw new PgorbitError('state-corrupt', `${file} has version ${match[1]}, and this pgorbit reads ${VERSION}`, { hint: 'start it with the pgorbit that wrote it' });
  if (crc32c(Buffer.from(match[3]!)).toString(16) !== match[2]) throw new PgorbitError('state-corrupt', `${file} is damaged: its checksum is wrong`, { hint });
  return { ...EMPTY, ...(JSON.parse(match[3]!) as Partial<LoggerState>) };
}

/** Makes creations, renames and removals in a folder durable. */
export function fsyncDir(dir: string): void {
  const fd = openSync(dir, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
