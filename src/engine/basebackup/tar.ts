/**
 * Reads the tar stream that PostgreSQL's BASE_BACKUP sends (src/port/tar.c: ustar, names of at most 99 bytes, because
 * the server refuses longer ones; large numbers in base 256; nothing but files, folders and symbolic links).
 */
import { PgorbitError } from '../../errors.ts';

export interface TarEntry {
  kind: 'file' | 'folder' | 'link';
  /** Relative to the archive's root, with `/`, without `./` before and `/` behind it. */
  path: string;
  /** Bytes that follow; 0 for folders and links. */
  size: number;
  /** Where a link points, else ''. */
  target: string;
}

/** Called in the order of the archive: `entry`, then for a file `data` any number of times, then `end`. */
export interface TarHandler {
  entry(entry: TarEntry): void;
  /** A piece of the present file, a view of what was pushed. */
  data(piece: Buffer): void;
  /** The present file has all its bytes. */
  end(): void;
}

const BLOCK = 512;
const KINDS: Record<string, TarEntry['kind']> = { '0': 'file', '\0': 'file', '5': 'folder', '2': 'link' };

export class TarReader {
  readonly #handler: TarHandler;
  /** Of a header, what came so far. */
  readonly #header = Buffer.alloc(BLOCK);
  #headerLength = 0;
  #inFile = false;
  #left = 0;
  #padding = 0;
  #zeroBlocks = 0;

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  /** Takes the next bytes, cut anywhere. Throws PgorbitError `operation-failed` or `unsafe` for what PostgreSQL does not send. */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#inFile) at = this.#takeData(chunk, at);
      else if (this.#padding > 0) {
        const skipped = Math.min(this.#padding, chunk.length - at);
        this.#padding -= skipped;
        at += skipped;
      } else at = this.#takeHeader(chunk, at);
    }
  }

  /** The archive is over: throws when it broke off. PostgreSQL ends it with two blocks of zeroes. */
  finish(): void {
    if (this.#inFile || this.#padding > 0 || this.#headerLength > 0 || this.#zeroBlocks < 2) throw invalid('it breaks off');
  }

  #takeData(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#left -= end - at;
    this.#handler.data(chunk.subarray(at, end));
    if (this.#left === 0) this.#endFile();
    return end;
  }

  #endFile(): void {
    this.#inFile = false;
    this.#handler.end();
  }

  #takeHeader(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + BLOCK - this.#headerLength);
    chunk.copy(this.#header, this.#headerLength, at, end);
    this.#headerLength += end - at;
    if (this.#headerLength < BLOCK) return end;
    this.#headerLength = 0;
    if (this.#header.every((byte) => byte === 0)) {
      this.#zeroBlocks++;
      return end;
    }
    if (this.#zeroBlocks > 0) throw invalid('there is more behind its end');
    const entry = parseTarHeader(this.#header);
    this.#handler.entry(entry);
    if (entry.kind === 'file') {
      this.#inFile = true;
      this.#left = entry.size;
      this.#padding = (BLOCK - (entry.size % BLOCK)) % BLOCK;
      if (entry.size === 0) this.#endFile();
    }
    return end;
  }
}

/** Reads one header block. Throws PgorbitError `operation-failed`, or `unsafe` for a name that leaves the folder. */
export function parseTarHeader(header: Buffer): TarEntry {
  if (header.toString('latin1', 257, 262) !== 'ustar') throw invalid('a header is none');
  if (number(header, 148, 8) !== checksum(header)) throw invalid('the checksum of a header is wrong');
  const name = text(header, 0, 100);
  const prefix = text(header, 345, 155);
  const kind = KINDS[String.fromCharCode(header[156]!)];
  if (prefix !== '' || kind === undefined) throw invalid(`"${name}" is of a kind that PostgreSQL does not send`);
  const path = name.replace(/^(\.\/)+/, '').replace(/\/+$/, '');
  if (path === '' || path.startsWith('/') || path.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw new PgorbitError('unsafe', `the base backup names a file outside its folder: "${name}"`, { hint: 'this server is no PostgreSQL that can be trusted; nothing was written there' });
  }
  const size = number(header, 124, 12);
  if (kind !== 'file' && size !== 0) throw invalid(`"${name}" is no file and has a size`);
  return { kind, path, size, target: kind === 'link' ? text(header, 157, 100) : '' };
}

function text(header: Buffer, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  // Latin-1 keeps every byte: a name need not be UTF-8, and goes to the file system as it came.
  return field.toString('latin1', 0, end < 0 ? length : end);
}

/** As read_tar_number(): octal up to a space or zero, or base 256 behind a byte 0x80. */
function number(header: Buffer, start: number, length: number): number {
  let value = 0;
  if (header[start] === 0x80) {
    for (let at = start + 1; at < start + length; at++) value = value * 256 + header[at]!;
  } else {
    for (let at = start; at < start + length && header[at]! >= 0x30 && header[at]! <= 0x37; at++) value = value * 8 + header[at]! - 0x30;
  }
  if (!Number.isSafeInteger(value)) throw invalid('a number is too large');
  return value;
}

/** The sum of all bytes, those of the checksum itself taken for spaces. */
function checksum(header: Buffer): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += header[at]!;
  return sum;
}

function invalid(what: string): PgorbitError {
  return new PgorbitError('operation-failed', `the archive of the base backup cannot be read: ${what}`, { hint: 'is this a PostgreSQL server of version 15 to 18?' });
}
