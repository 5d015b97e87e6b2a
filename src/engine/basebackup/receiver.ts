/** Takes the stream of a base backup apart: archives go to files, checksums are computed on the way, the manifest is kept. */
import { malformed, Fields } from '../../wire/buffer.ts';
import { PgorbitError } from '../../errors.ts';
import { type Checksum, type ChecksumAlgorithm, makeChecksum } from './checksum.ts';
import { refuseTablespaces } from './command.ts';
import { type Manifest, MANIFEST_FILE } from './manifest.ts';
import { TarReader, type TarEntry } from './tar.ts';
import type { Sink, Tree } from './target.ts';

/** The types of the messages inside CopyData (backend/backup/basebackup_copy.c). */
const NEW_ARCHIVE = 0x6e;
const MANIFEST = 0x6d;
const DATA = 0x64;
const PROGRESS = 0x70;

/** No message but data is long; a manifest has about 150 bytes a file. */
const MAX_SHORT = 65_536;
const MAX_MANIFEST = 2 ** 30;

interface Received {
  size: number;
  checksum: string | null;
}

export interface ReceiverOptions {
  where: string;
  algorithm: ChecksumAlgorithm;
  writer: Tree;
  onProgress: (bytes: number) => void;
}

export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #received = new Map<string, Received>();
  #bytes = 0;
  #tar: TarReader | null = null;
  #manifest: Buffer[] | null = null;
  #manifestBytes = 0;
  /** The message that is arriving: its type, and what came of it unless it is data. */
  #type = 0;
  #short: Buffer[] = [];
  #file: { path: string; size: number; sink: Sink; checksum: Checksum | null } | null = null;

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /** Bytes in files so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A piece of CopyData, as ReplicationClient.copyOut hands it on. Throws PgorbitError. */
  piece(piece: Buffer, begins: boolean, ends: boolean): void {
    let rest = piece;
    if (begins) {
      this.#type = piece[0]!;
      rest = piece.subarray(1);
      this.#short = [];
    }
    if (this.#type === DATA) this.#data(rest);
    else {
      this.#short.push(Buffer.from(rest));
      if (this.#short.reduce((sum, { length }) => sum + length, 0) > MAX_SHORT) throw malformed('a message of a base backup is too long');
      if (ends) this.#message(Buffer.concat(this.#short));
    }
  }

  /** The stream is over. Returns the manifest as it came; throws when anything is missing. */
  finish(): Buffer {
    if (this.#tar || !this.#manifest) throw malformed('a base backup without its manifest');
    return Buffer.concat(this.#manifest);
  }

  /** Throws PgorbitError `operation-failed` when what arrived is not what the manifest says. */
  compare(manifest: Manifest): void {
    for (const [path, expected] of manifest.files) {
      const got = this.#received.get(path);
      if (!got) throw this.#differs(path, 'it was not sent');
      if (got.size !== expected.size) throw this.#differs(path, `it has ${got.size} bytes and should have ${expected.size}`);
      if (got.checksum !== null && expected.checksum !== null && got.checksum !== expected.checksum.hex) {
        throw this.#differs(path, `its ${expected.checksum.algorithm} is ${got.checksum} and should be ${expected.checksum.hex}`);
      }
    }
    for (const path of this.#received.keys()) {
      if (!isWal(path) && !manifest.files.has(path)) throw this.#differs(path, 'the manifest does not know it');
    }
  }

  #differs(path: string, how: string): PgorbitError {
    return new PgorbitError('operation-failed', `the base backup of ${this.#options.where} arrived damaged: ${path}: ${how}`, { hint: 'take it again; if it happens again, check the network and the memory of both hosts' });
  }

  #message(body: Buffer): void {
    if (this.#type === NEW_ARCHIVE) {
      this.#endArchive();
      const name = new Fields(body).cstring();
      if (name !== 'base.tar') throw malformed(`an archive named ${name}`);
      this.#tar = new TarReader({ entry: (entry) => this.#entry(entry), data: (data) => this.#fileData(data), end: () => this.#endFile() });
    } else if (this.#type === MANIFEST) {
      this.#endArchive();
      this.#manifest = [];
    } else if (this.#type === PROGRESS && body.length === 8) this.#options.onProgress(Number(body.readBigInt64BE(0)));
    else throw malformed(`an unknown message of a base backup, type ${this.#type}`);
  }

  #data(data: Buffer): void {
    if (this.#manifest) {
      this.#manifest.push(Buffer.from(data));
      this.#manifestBytes += data.length;
      if (this.#manifestBytes > MAX_MANIFEST) throw malformed('a manifest is too long');
    } else if (this.#tar) this.#tar.push(data);
    else throw malformed('data before the first archive');
  }

  #endArchive(): void {
    this.#tar?.finish();
    this.#tar = null;
  }

  #entry(entry: TarEntry): void {
    const { path } = entry;
    if (entry.kind === 'link') refuseTablespaces(this.#options.where, [`${path} (${entry.target})`]);
    else if (entry.kind === 'folder') this.#options.writer.folder(path);
    else if (path === MANIFEST_FILE) throw malformed('a manifest within the archive');
    else this.#file = { path, size: 0, sink: this.#options.writer.file(path, entry.size), checksum: isWal(path) ? null : makeChecksum(this.#options.algorithm) };
  }

  #fileData(data: Buffer): void {
    const file = this.#file!;
    file.size += data.length;
    this.#bytes += data.length;
    file.checksum?.update(data);
    file.sink.add(data);
  }

  #endFile(): void {
    const { path, size, sink, checksum } = this.#file!;
    this.#file = null;
    sink.end();
    this.#received.set(path, { size, checksum: checksum?.hex() ?? null });
  }
}

/** WAL has checksums of its own, and is not in the manifest. */
const isWal = (path: string): boolean => path.startsWith('pg_wal/');
