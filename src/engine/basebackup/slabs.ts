/**
 * Memory for what arrives, used again when it is written: fresh memory for every read costs more than the read, in
 * page faults and garbage collections.
 */

const SLAB_BYTES = 512 * 1024;
/** What is left of a slab is worth a read of its own from so many bytes on. */
const READ_BYTES = 64 * 1024;
/** More than the backlog of a writer needs is given back. */
const MOST_FREE = 48;

interface Slab {
  memory: Buffer;
  /** Bytes that reads have filled; the next read goes behind them. */
  used: number;
  /** Pieces that somebody holds. */
  held: number;
}

export class Slabs {
  #current: Slab = fresh();
  readonly #free: Slab[] = [];
  readonly #byMemory = new Map<ArrayBufferLike, Slab>();

  constructor() {
    this.#byMemory.set(this.#current.memory.buffer, this.#current);
  }

  /** Memory for the next read. What was read last is kept only as far as it is held by then. */
  readonly next = (): Buffer => {
    if (this.#current.memory.length - this.#current.used < READ_BYTES) {
      const full = this.#current;
      this.#current = this.#free.pop() ?? this.#add();
      this.#recycle(full);
    }
    return this.#current.memory.subarray(this.#current.used);
  };

  /** So many bytes were read to where `next` said. */
  filled(bytes: number): void {
    this.#current.used += bytes;
  }

  /** `piece`, a view of what was read, stays as it is until it is released as often as it was held. */
  hold(piece: Buffer): void {
    const slab = this.#byMemory.get(piece.buffer);
    if (slab) slab.held++;
  }

  release(piece: Buffer): void {
    const slab = this.#byMemory.get(piece.buffer);
    if (!slab) return;
    slab.held--;
    this.#recycle(slab);
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
