/** The checksums of backup manifests (src/common/checksum_helper.c). */
import { createHash } from 'node:crypto';
import { Crc32cStream } from '../../wal/crc32c.ts';

export const CHECKSUM_ALGORITHMS = ['CRC32C', 'SHA224', 'SHA256', 'SHA384', 'SHA512'] as const;
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number];

export interface Checksum {
  update(piece: Buffer): void;
  /** As in the manifest, lower case. */
  hex(): string;
}

export function makeChecksum(algorithm: ChecksumAlgorithm): Checksum {
  if (algorithm === 'CRC32C') return new Crc32c();
  const hash = createHash(algorithm.toLowerCase());
  return { update: (piece) => void hash.update(piece), hex: () => hash.digest('hex') };
}

class Crc32c implements Checksum {
  readonly #sum = new Crc32cStream();

  update(piece: Buffer): void {
    this.#sum.update(piece);
  }

  /** The manifest has the four bytes as they lie in the server's memory: little-endian on every platform that pgorbit runs on. */
  hex(): string {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32LE(this.#sum.finish());
    return bytes.toString('hex');
  }
}
