/**
 * WAL that came in several messages, written in one call: the bytes of the second are moved over its own heading to where
 * those of the first end, and so on. They were received to one piece of memory, and moving them there costs next to
 * nothing beside a system call.
 */
import { WAL_MESSAGE_HEAD } from '../../wire/replication.ts';
import type { Lsn } from '../lsn.ts';

export class Gather {
  readonly #write: (start: Lsn, data: Buffer) => void;
  #start: Lsn = 0n;
  #data: Buffer | null = null;
  /** Where in its memory the last message ended. */
  #end = 0;

  constructor(write: (start: Lsn, data: Buffer) => void) {
    this.#write = write;
  }

  /** Takes WAL that begins at `start`. The memory of `data`, and its message's heading before it, have to stay until `write`. */
  add(start: Lsn, data: Buffer): void {
    const before = this.#data;
    // Only the heading lies between them: nothing else is overwritten.
    const follows = before?.buffer === data.buffer && this.#end + WAL_MESSAGE_HEAD === data.byteOffset && this.#start + BigInt(before.length) === start;
    this.#end = data.byteOffset + data.length;
    if (follows) {
      this.#data = Buffer.from(before.buffer, before.byteOffset, before.length + data.length);
      this.#data.set(data, before.length);
      return;
    }
    this.write();
    this.#start = start;
    this.#data = data;
  }

  /** Hands on what was taken. */
  write(): void {
    const data = this.#data;
    this.#data = null;
    if (data !== null) this.#write(this.#start, data);
  }
}
