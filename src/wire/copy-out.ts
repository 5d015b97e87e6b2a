/**
 * Cuts a stream in which CopyData follows CopyData into payloads, without waiting for a message to be whole: what
 * carries gigabytes is handed on as it arrives, and nothing is joined or copied.
 */
import { malformed } from './buffer.ts';

/** A piece of a CopyData message. Every message has one piece that `begins` it and one that `ends` it. */
export type OnPiece = (piece: Buffer, begins: boolean, ends: boolean) => void;

const COPY_DATA = 0x64;
const HEAD = 5;

export class CopyOutSplitter {
  readonly #onPiece: OnPiece;
  /** Of a message's type and length, what came so far. */
  #head: Buffer = Buffer.alloc(0);
  /** Bytes of the present message that are still to come. */
  #left = 0;

  constructor(onPiece: OnPiece) {
    this.#onPiece = onPiece;
  }

  /**
   * Takes what arrived. Null while all of it was CopyData; else the bytes from the first other message on, which the
   * caller handles.
   */
  push(chunk: Buffer): Buffer | null {
    let at = 0;
    if (this.#head.length > 0) {
      chunk = Buffer.concat([this.#head, chunk]);
      this.#head = Buffer.alloc(0);
    }
    while (at < chunk.length) {
      let begins = false;
      if (this.#left === 0) {
        if (chunk[at] !== COPY_DATA) return chunk.subarray(at);
        if (chunk.length - at < HEAD) {
          this.#head = Buffer.from(chunk.subarray(at));
          return null;
        }
        const length = chunk.readInt32BE(at + 1) - 4;
        if (length < 1) throw malformed(`a CopyData message of ${length} bytes`);
        at += HEAD;
        if (at === chunk.length) {
          // The first piece is never empty: it has the byte that says what the message is.
          this.#head = Buffer.from(chunk.subarray(at - HEAD));
          return null;
        }
        this.#left = length;
        begins = true;
      }
      const end = Math.min(chunk.length, at + this.#left);
      this.#left -= end - at;
      this.#onPiece(chunk.subarray(at, end), begins, this.#left === 0);
      at = end;
    }
    return null;
  }
}
