/** CRC-32C of files, as eight hexadecimal digits. */
import { CRC32C_INIT, crc32cFinish, crc32cUpdate } from '../wal/crc32c.ts';

export class RunningSum {
  #state = CRC32C_INIT;

  add(piece: Uint8Array): void {
    this.#state = crc32cUpdate(this.#state, piece);
  }

  hex(): string {
    return (crc32cFinish(this.#state) >>> 0).toString(16).padStart(8, '0');
  }
}

export function sumOf(bytes: Uint8Array): string {
  const sum = new RunningSum();
  sum.add(bytes);
  return sum.hex();
}

/** Throws what the pieces throw. */
export async function sumOfPieces(pieces: AsyncIterable<Uint8Array>): Promise<{ size: number; crc32c: string }> {
  const sum = new RunningSum();
  let size = 0;
  for await (const piece of pieces) {
    sum.add(piece);
    size += piece.length;
  }
  return { size, crc32c: sum.hex() };
}
