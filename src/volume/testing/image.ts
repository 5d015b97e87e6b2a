/** A volume in an image of a test's own. */
import { mkdtemp, chmod, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { volumeFacts } from '../facts.ts';
import { createImage, destroyImage } from '../image.ts';
import { readImageRecord, type ImageFs } from '../image-record.ts';

export const MIB = 1024 * 1024;

export interface TestImage {
  folder: string;
  imageFile: string;
  mountPoint: string;
  destroy(): Promise<void>;
}

/** Why images cannot be made here, or null. */
export async function whyNoImages(): Promise<string | null> {
  const facts = await volumeFacts();
  if (!facts.root) return 'loop devices need root';
  if (!facts.loop) return 'there is no /dev/loop-control';
  if (!facts.btrfsProgs || !facts.xfsProgs) return 'btrfs-progs or xfsprogs is missing';
  if (!facts.kernelBtrfs || !facts.kernelXfs) return 'the kernel lacks btrfs or XFS';
  return null;
}

/** A folder for an image that is not made yet; `destroy` unmounts, detaches and deletes whatever came of it. */
export async function imagePlace(): Promise<TestImage> {
  const folder = await mkdtemp(join(tmpdir(), 'pgorbit-image-'));
  await chmod(folder, 0o755);
  const imageFile = join(folder, 'volume.img');
  return {
    folder,
    imageFile,
    mountPoint: join(folder, 'mnt'),
    destroy: async () => {
      if (await readImageRecord(imageFile)) await destroyImage(imageFile);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export async function testImage(fs: ImageFs, size: number): Promise<TestImage> {
  const place = await imagePlace();
  await createImage({ imageFile: place.imageFile, mountPoint: place.mountPoint, size, fs });
  return place;
}
