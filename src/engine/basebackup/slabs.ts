/**
 * Memory for what is to be written, used again when it is written: fresh memory costs page faults and garbage
 * collections. What belongs to one file lies in one piece as long as a slab lasts, and within a page as it will lie in
 * the file: then the kernel copies whole pages.
 */

const SLAB_BYTES = 512 * 1024;
const PAGE_BYTES = 4096;
/** More than the backlog of a writer needs is given back. */
const MOST_FREE = 48;

interface Slab {
  memory: Buffer;
  /** Bytes that are taken; the next piece goes behind them. */
  used: number;
  /** Bytes that are not released yet. */
  held: number;
}

export class Slabs {
  #current: Slab = fresh();
  readonly #free: Slab[] = [];
  readonly #byMemory = new Map<ArrayBufferLike, Slab>();

  constructor() {
    this.#byMemory.set(this.#current.memory.buffer, this.#current);
  }

  /** What is copied next begins a page. */
  beginPage(): void {
    this.#current.used = Math.min(this.#current.memory.length, Math.ceil(this.#current.used / PAGE_BYTES) * PAGE_BYTES);
  }

  /**
   * Copies `bytes`, or as many of them as fit in, and returns where they lie until they are released: `behind` made
   * longer, where that is what was copied last and its slab has room.
   */
  copy(bytes: Uint8Array, behind: Buffer | undefined): Buffer {
    const goesOn = behind !== undefined && behind.buffer === this.#current.memory.buffer && this.#current.used < this.#current.memory.length;
    const { memory, used } = this.#room();
    const length = Math.min(bytes.length, memory.length - used);
    memory.set(length === bytes.length ? bytes : bytes.subarray(0, length), used);
    this.#current.used += length;
    this.#current.held += length;
    return memory.subarray(goesOn ? behind.byteOffset - memory.byteOffset : used, used + length);
  }

  /** `piece` is needed no longer. */
  release(piece: Buffer): void {
    const slab = this.#byMemory.get(piece.buffer)!;
    slab.held -= piece.length;
    this.#recycle(slab);
  }

  #room(): Slab {
    if (this.#current.used === this.#current.memory.length) {
      const full = this.#current;
      this.#current = this.#free.pop() ?? this.#add();
      this.#recycle(full);
    }
    return this.#current;
  }

  #recycle(slab: Slab): void {
    if (slab.held > 0 || slab === this.#current) return;
    slab.used = 0;
    if (this.#free.length < MOST_FREE) this.#free.push(slab);
    else this.#byMemory.delete(slab.memory.buffer);
  }

  #add(): Slab {
    const slab = fresh();
    this.#byMemory.set(slab.memory.buffer, slab);
    return slab;
  }
}

function fresh(): Slab {
  return { memory: Buffer.allocUnsafeSlow(SLAB_BYTES), used: 0, held: 0 };
}
