/** Building and taking apart protocol messages: a type byte, a length that counts itself, a payload (docs: protocol-message-formats). */
import { PgorbitError } from '../errors.ts';

/** PQ_LARGE_MESSAGE_LIMIT is 1 GB; nothing pgorbit speaks needs more than a fraction, and a bound keeps memory bounded. */
export const MAX_MESSAGE = 64 * 1024 * 1024;

/** One message: type byte, length, payload. */
export function message(type: string, ...parts: (Buffer | Uint8Array)[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 4);
  const head = Buffer.allocUnsafe(5);
  head.writeUInt8(type.charCodeAt(0), 0);
  head.writeInt32BE(length, 1);
  return Buffer.concat([head, ...parts], length + 1);
}

export function cstring(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf8');
}
export function int16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeInt16BE(value);
  return bytes;
}
export function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** Reads fields off a payload in order. Throws PgorbitError when it runs short. */
export class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }
  get left(): number {
    return this.#bytes.length - this.#at;
  }
  int16(): number {
    return this.#take(2).readInt16BE(0);
  }
  int32(): number {
    return this.#take(4).readInt32BE(0);
  }
  byte(): number {
    return this.#take(1).readUInt8(0);
  }
  bytes(length: number): Buffer {
    return this.#take(length);
  }
  rest(): Buffer {
    return this.#take(this.left);
  }
  cstring(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end < 0) throw malformed('a string without its end');
    const text = this.#bytes.toString('utf8', this.#at, end);
    this.#at = end + 1;
    return text;
  }
  #take(length: number): Buffer {
    if (length < 0 || length > this.left) throw malformed('a message shorter than its fields');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

/** A peer that does not speak the protocol. */
export function malformed(what: string): PgorbitError {
  return new PgorbitError('operation-failed', `protocol violation: ${what}`, { hint: 'is this a PostgreSQL server or client of version 15 to 18?' });
}

/**
 * Cuts a stream into messages. Payloads handed out are views of what came in: whoever keeps one copies it.
 * At most one incomplete message is buffered, of at most MAX_MESSAGE bytes.
 */
export class MessageSplitter {
  #pieces: Buffer[] = [];
  /** So much of the first piece has been handed out. */
  #at = 0;
  /** What is left of all pieces. */
  #length = 0;
  /** A startup packet has no type byte. */
  #untyped: boolean;

  constructor(options: { untypedFirst: boolean }) {
    this.#untyped = options.untypedFirst;
  }

  /** The next packet is untyped again: after an answered SSLRequest. */
  expectUntyped(): void {
    this.#untyped = true;
  }

  push(chunk: Buffer): void {
    this.#pieces.push(chunk);
    this.#length += chunk.length;
  }

  /** The last piece was a view of memory that is about to be used again: what is left of it is copied. */
  own(): void {
    const index = this.#pieces.length - 1;
    const last = this.#pieces[index];
    if (last === undefined) return;
    this.#pieces[index] = Buffer.from(index === 0 ? last.subarray(this.#at) : last);
    if (index === 0) this.#at = 0;
  }

  /** What was received and not yet handed out, taken away: it belongs to another layer (TLS). */
  drain(): Buffer {
    const all = this.#whole().subarray(this.#at);
    this.#pieces = [];
    this.#at = 0;
    this.#length = 0;
    return all;
  }

  /** The next whole message, or null. An untyped packet has type ''. */
  next(): { type: string; payload: Buffer } | null {
    const head = this.#untyped ? 4 : 5;
    if (this.#length < head) return null;
    let bytes = this.#pieces[0]!;
    if (bytes.length - this.#at < head) bytes = this.#whole();
    const length = bytes.readInt32BE(this.#at + head - 4);
    if (length < 4 || length > (this.#untyped ? 10_000 : MAX_MESSAGE)) throw malformed(`a message of ${length} bytes`);
    const total = head - 4 + length;
    if (this.#length < total) return null;
    if (bytes.length - this.#at < total) bytes = this.#whole();
    const at = this.#at;
    const type = this.#untyped ? '' : String.fromCharCode(bytes[at]!);
    this.#untyped = false;
    this.#length -= total;
    this.#at += total;
    if (this.#at === bytes.length) {
      this.#pieces.shift();
      this.#at = 0;
    }
    return { type, payload: bytes.subarray(at + head, at + total) };
  }

  /** All pieces in one, the first. */
  #whole(): Buffer {
    if (this.#pieces.length !== 1) {
      if (this.#at > 0) this.#pieces[0] = this.#pieces[0]!.subarray(this.#at);
      this.#at = 0;
      this.#pieces = [Buffer.concat(this.#pieces, this.#length)];
    }
    return this.#pieces[0]!;
  }
}
