/**
 * Makes long pieces short without changing their CRC-32C, five times as fast as tables are: in WebAssembly, sixteen
 * bytes at once (S. Russell, "Chorba: A novel CRC32 implementation", 2024).
 *
 * The polynomial divides x^209 + x^144 + x^54 + x^39 + x^14 + 1 and, because squaring a sum of bits squares each of
 * them, x^(209 * 32) + … + 1 too. So a word of 32 bits may be struck out when it is added to the words 65, 155, 170,
 * 195 and 209 places behind it: the remainder stays what it was.
 */

const SHIFTS = [65, 155, 170, 195, 209] as const;
const [NEAREST, , , , FARTHEST] = SHIFTS;
const WORD = 4;
const VECTOR = 16;
/** Vectors in one turn of the loop. */
const UNROLLED = 4;
const TURN = UNROLLED * VECTOR;

/** Where a piece lies in WebAssembly's memory. Before it are the words before its first one, zeros at a beginning. */
const PIECE_AT = Math.ceil((FARTHEST * WORD) / VECTOR) * VECTOR;
const PAGE = 65_536;
/** Words behind the loop's end, of which only a part is still added to. */
const BEHIND = FARTHEST - NEAREST;
/** The most that the loop leaves. */
const LEFT_BYTES = BEHIND * WORD + TURN;

/** A piece has at least so many bytes, because less is faster with tables, and at most so many. */
export const FOLD_BYTES = { least: 2048, most: PAGE };

/** The loop over words, from `from` up to `end` (bytes within the piece). */
type Loop = (from: number, end: number) => void;
interface Machine {
  loop: Loop;
  /** All of the memory. */
  all: Uint8Array;
  words: Int32Array;
}

/** What of WebAssembly is used here: @types/node does not have it. */
interface Assembly {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: { loop: Loop; memory: { buffer: ArrayBuffer } } };
}
const { WebAssembly: assembly } = globalThis as unknown as { WebAssembly: Assembly };

let machine: Machine | null = null;

/**
 * Under a thousand bytes whose CRC-32C from state 0 is that of `piece` from `state`. They are good until the next call.
 * Little-endian platforms only, as all are that pgorbit runs on.
 */
export function fold(state: number, piece: Uint8Array): Uint8Array {
  machine ??= makeMachine();
  machine.all.fill(0, 0, PIECE_AT);
  machine.all.set(piece, PIECE_AT);
  machine.words[PIECE_AT / WORD]! ^= state;
  const looped = loopOver(machine, piece.length);
  return restOf(machine, looped, piece.length);
}

/**
 * As `fold`, for bytes that arrive piece by piece: what the folding of one leaves open goes to the beginning of the
 * next, so that only the end of all is left to the tables.
 */
export class Folding {
  /** The words before those that are left, then these: at most so many as a turn may leave. */
  readonly #open = new Uint8Array(PIECE_AT + LEFT_BYTES);
  #left: number;

  /** @param first bytes that come before all others. */
  constructor(first: Uint8Array) {
    this.#open.set(first, PIECE_AT);
    this.#left = first.length;
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += FOLD_BYTES.most) {
      this.#update(bytes.length <= FOLD_BYTES.most ? bytes : bytes.subarray(at, at + FOLD_BYTES.most));
    }
  }

  /** Under a thousand bytes whose CRC-32C from state 0 is that of all. They are good until the next call. */
  rest(): Uint8Array {
    machine ??= makeMachine();
    machine.all.set(this.#open);
    return restOf(machine, 0, this.#left);
  }

  #update(piece: Uint8Array): void {
    machine ??= makeMachine();
    const { all } = machine;
    all.set(this.#open);
    all.set(piece, PIECE_AT + this.#left);
    const length = this.#left + piece.length;
    const looped = loopOver(machine, length);
    this.#open.set(all.subarray(looped, PIECE_AT + length));
    this.#left = length - looped;
  }
}

/** Strikes out what may be: words whose farthest target lies within the `length` bytes. Returns how far it went. */
function loopOver({ loop }: Machine, length: number): number {
  const end = length - BEHIND * WORD;
  if (end < TURN) return 0;
  const looped = end - (end % TURN);
  loop(0, looped);
  return looped;
}

/** What is left of `length` bytes, over which the loop went so far. */
function restOf({ all, words }: Machine, looped: number, length: number): Uint8Array {
  const first = (PIECE_AT + looped) / WORD;
  for (const shift of SHIFTS) {
    for (let at = first; at < first + shift - NEAREST; at++) words[at]! ^= words[at - shift]!;
  }
  return all.subarray(PIECE_AT + looped - NEAREST * WORD, PIECE_AT + length);
}

function makeMachine(): Machine {
  const { loop, memory: { buffer } } = new assembly.Instance(new assembly.Module(assemble())).exports;
  return { loop, all: new Uint8Array(buffer), words: new Int32Array(buffer) };
}

/** The module in WebAssembly's binary format: a memory, and the loop of type Loop. */
function assemble(): Uint8Array {
  const i32 = 0x7f;
  const [get0, get1, tee0] = [[0x20, 0], [0x20, 1], [0x22, 0]];
  const load = (offset: number): number[] => [...get0, 0xfd, 0x00, 0, ...leb(offset)];
  const store = (offset: number): number[] => [0xfd, 0x0b, 0, ...leb(offset)];
  const xor = [0xfd, 0x51];
  const turn = Array.from({ length: UNROLLED }, (_, n) => PIECE_AT + n * VECTOR).flatMap((at) => [
    ...get0, ...load(at), ...SHIFTS.flatMap((shift) => [...load(at - shift * WORD), ...xor]), ...store(at),
  ]);
  // loop { turn; from += TURN; if (from < end) again }
  const code = [0x03, 0x40, ...turn, ...get0, 0x41, ...leb(TURN, true), 0x6a, ...tee0, ...get1, 0x49, 0x0d, 0, 0x0b, 0x0b];
  return Uint8Array.from([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [[0x60, ...list([[i32], [i32]]), ...list([])]]),
    ...section(3, [[0]]),
    ...section(5, [[0, ...leb(Math.ceil((PIECE_AT + LEFT_BYTES + FOLD_BYTES.most) / PAGE))]]),
    ...section(7, [[...name('memory'), 2, 0], [...name('loop'), 0, 0]]),
    ...section(10, [sized([0, ...code])]),
  ]);
}

/** LEB128; a signed one must not have its highest bit set where the number is positive. */
function leb(value: number, signed = false): number[] {
  const low = value & 0x7f;
  const rest = value >>> 7;
  return rest > 0 || (signed && low >= 0x40) ? [low | 0x80, ...leb(rest, signed)] : [low];
}
const sized = (bytes: readonly number[]): number[] => [...leb(bytes.length), ...bytes];
const list = (items: readonly (readonly number[])[]): number[] => [...leb(items.length), ...items.flat()];
const section = (id: number, items: readonly (readonly number[])[]): number[] => [id, ...sized(list(items))];
const name = (text: string): number[] => sized([...Buffer.from(text)]);
