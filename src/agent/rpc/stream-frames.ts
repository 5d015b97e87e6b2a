/**
 * Frames of a stream between two agents: four bytes of length (big-endian), then that many bytes of JSON, an array of
 * items (stream-items.ts). Pure: bytes in, bytes out.
 */

/** A longer frame is never sent, and ends the connection on which it comes. Bytes, without the header. */
export const FRAME_LIMIT = 64 * 1024 * 1024;
const HEADER = 4;

/** @param items each as JSON */
export function frameOf(items: readonly string[]): Buffer {
  const text = `[${items.join(',')}]`;
  const length = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(HEADER + length);
  frame.writeUInt32BE(length, 0);
  frame.write(text, HEADER, 'utf8');
  return frame;
}

/** Puts frames together again from the pieces in which they arrive. */
export class FrameReader {
  /** Pieces of the frame that is not complete, and their bytes together. */
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** Bytes of the frame that is not complete, with its header; HEADER while that is not known. */
  #wanted = HEADER;

  /** @returns the values of the frames that `chunk` completes. @throws Error that says what is wrong with them. */
  push(chunk: Buffer): unknown[] {
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#wanted) return [];
    const values: unknown[] = [];
    let buffer = this.#pieces.length === 1 ? chunk : Buffer.concat(this.#pieces);
    for (;;) {
      this.#wanted = HEADER;
      if (buffer.length < HEADER) break;
      const length = buffer.readUInt32BE(0);
      if (length > FRAME_LIMIT) throw new Error(`a frame of ${length} bytes is larger than ${FRAME_LIMIT}`);
      this.#wanted = HEADER + length;
      if (buffer.length < this.#wanted) break;
      values.push(parse(buffer.toString('utf8', HEADER, this.#wanted)));
      buffer = buffer.subarray(this.#wanted);
    }
    this.#pieces = buffer.length === 0 ? [] : [buffer];
    this.#bytes = buffer.length;
    return values;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new Error('a frame is no JSON', { cause: error });
  }
}
