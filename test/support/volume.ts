/** A volume in an image file, for tests and benches: full allocation, PostgreSQL's user may write to it. Needs root. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { postgresOsUser } from '../../src/engine/osuser.ts';
import type { ImageFs } from '../../src/volume/image-record.ts';
import { createImage } from '../../src/volume/image.ts';
import { cleanUpWith } from './cleanup.ts';
import { clearLeftovers } from './leftovers.ts';
import { makeFolder } from './stale.ts';

export { whyNoImages } from '../../src/volume/testing/image.ts';

export interface TestVolume {
  /** Where it is mounted. */
  path: string;
  fs: ImageFs;
  /** Bytes of the image. */
  size: number;
  /** Unmounts and deletes it; what still runs on it is the business of whoever started it. */
  destroy(): Promise<void>;
}

/** @throws as createImage: `volume-full` where the disk has no room for it, `permission` without root. */
export async function makeTestVolume(options: { fs: ImageFs; size: number }): Promise<TestVolume> {
  const folder = await makeFolder();
  const destroy = cleanUpWith(async () => {
    await clearLeftovers(folder);
    await rm(folder, { recursive: true, force: true });
  });
  try {
    const owner = await postgresOsUser();
    const path = join(folder, 'mnt');
    await createImage({ imageFile: join(folder, 'image'), mountPoint: path, ...options, ...(owner === null ? {} : { owner }) });
    return { path, ...options, destroy };
  } catch (error) {
    await destroy();
    throw error;
  }
}
