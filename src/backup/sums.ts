/** CRC-32C of files, as eight hexadecimal digits. */
import { open } from 'node:fs/promises';
import { CRC32C_INIT, crc32cFinish, crc32cUpdate } from '../wal/crc32c.ts';

const CHUNK = 1 << 20;

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

/** Throws system errors, and what the signal was aborted with. */
export async function sumOfFile(file: string, signal?: AbortSignal): Promise<{ size: number; crc32c: string }> {
  const sum = new RunningSum();
  const buffer = Buffer.allocUnsafe(CHUNK);
  const handle = await open(file, 'r');
  try {
    for (let size = 0; ; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, CHUNK, null);
      if (bytesRead === 0) return { size, crc32c: sum.hex() };
      sum.add(buffer.subarray(0, bytesRead));
      size += bytesRead;
    }
  } finally {
    await handle.close();
  }
}
