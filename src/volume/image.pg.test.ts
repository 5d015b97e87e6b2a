import { mkdir, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkImage } from './check.ts';
import { run } from './command.ts';
import { createImage, destroyImage, growImage, isMounted, mountImage, unmountImage } from './image.ts';
import { readImageRecord, writeImageRecord } from './image-record.ts';
import { attachLoop, loopsOf } from './loop.ts';
import { imagePlace, MIB, whyNoImages, type TestImage } from './testing/image.ts';

const why = await whyNoImages();
const SIZE = 320 * MIB;

describe.skipIf(why !== null)(`volumes in image files${why === null ? '' : ` (skipped: ${why})`}`, () => {
  let place: TestImage;
  beforeEach(async () => {
    place = await imagePlace();
  });
  afterEach(() => place.destroy());
  const create = (fs: 'btrfs' | 'xfs', size = SIZE) => createImage({ imageFile: place.imageFile, mountPoint: place.mountPoint, size, fs });

  test.each(['btrfs', 'xfs'] as const)('%s: made, remounted, grown, checked, destroyed', async (fs) => {
    const made = await createImage({ imageFile: place.imageFile, mountPoint: place.mountPoint, size: SIZE, fs, owner: { uid: 1234, gid: 1234 } });
    expect(made).toMatchObject({ state: 'ready', fs, size: SIZE, madeMountPoint: true });
    expect(await isMounted(made)).toBe(true);
    expect((await stat(place.mountPoint)).uid).toBe(1234);
    await writeFile(join(place.mountPoint, 'kept'), Buffer.alloc(20 * MIB, 1));
    await writeFile(join(place.mountPoint, 'gone'), Buffer.alloc(20 * MIB, 2));
    await run('sync', ['-f', place.mountPoint]);
    await rm(join(place.mountPoint, 'gone'));
    await run('sync', ['-f', place.mountPoint]);
    expect((await create(fs)).uuid).toBe(made.uuid);

    await unmountImage(place.imageFile);
    await unmountImage(place.imageFile);
    expect(await loopsOf(place.imageFile)).toEqual([]);
    expect(await checkImage(place.imageFile)).toMatchObject({ online: false, sound: true });
    // Allocated in full, and deleting files on it has not changed that.
    expect((await stat(place.imageFile)).blocks * 512).toBeGreaterThanOrEqual(SIZE);

    await mountImage(place.imageFile);
    expect((await readFile(join(place.mountPoint, 'kept'))).length).toBe(20 * MIB);
    const before = (await statfs(place.mountPoint)).blocks;
    expect((await growImage(place.imageFile, SIZE + 128 * MIB)).size).toBe(SIZE + 128 * MIB);
    const after = await statfs(place.mountPoint);
    expect((after.blocks - before) * after.bsize).toBeGreaterThanOrEqual(120 * MIB);
    await expect(growImage(place.imageFile, SIZE)).rejects.toMatchObject({ code: 'usage' });
    const report = await checkImage(place.imageFile);
    expect(report).toMatchObject({ online: true, sound: true });
    expect(report.lines.join()).toMatch(fs === 'btrfs' ? /every checksum verified/ : /xfs_scrub|not checked/);

    await destroyImage(place.imageFile);
    expect(await readdir(place.folder)).toEqual([]);
  });

  test('what a kill in the middle leaves is undone by the next create', async () => {
    const made = await create('btrfs');
    // Killed after mount, before the record said so.
    await writeImageRecord({ ...made, state: 'creating' });
    await expect(mountImage(place.imageFile)).rejects.toMatchObject({ code: 'volume-failed' });
    const again = await create('btrfs');
    expect(again.uuid).not.toBe(made.uuid);
    expect(await loopsOf(place.imageFile)).toHaveLength(1);
    // Killed before mkfs.
    await destroyImage(place.imageFile);
    await writeImageRecord({ ...made, state: 'creating' });
    await writeFile(place.imageFile, 'part');
    expect((await create('xfs')).state).toBe('ready');
    // Killed in the middle of destroy: the image is gone, the record is not.
    await unmountImage(place.imageFile);
    await rm(place.imageFile);
    await destroyImage(place.imageFile);
    expect(await readImageRecord(place.imageFile)).toBeNull();
  });

  test('a failing create leaves nothing', async () => {
    await expect(createImage({ imageFile: place.imageFile, mountPoint: place.mountPoint, size: SIZE, fs: 'btrfs', signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
    expect(await readdir(place.folder)).toEqual([]);
  });

  test('what is not ours is left alone', async () => {
    await writeFile(place.imageFile, 'precious');
    await expect(create('btrfs')).rejects.toMatchObject({ code: 'not-ours' });
    await expect(destroyImage(place.imageFile)).rejects.toMatchObject({ code: 'not-ours' });
    expect(await readFile(place.imageFile, 'utf8')).toBe('precious');
    await rm(place.imageFile);
    await mkdir(place.mountPoint);
    await writeFile(join(place.mountPoint, 'precious'), '');
    await expect(create('btrfs')).rejects.toMatchObject({ code: 'unsafe' });
    expect(await readdir(place.folder)).toEqual(['mnt']);
  });

  test('an image whose content was replaced is not mounted', async () => {
    await create('xfs');
    await unmountImage(place.imageFile);
    expect((await run('mkfs.btrfs', ['-q', '-f', place.imageFile])).code).toBe(0);
    await expect(mountImage(place.imageFile)).rejects.toMatchObject({ code: 'not-ours' });
    expect(await loopsOf(place.imageFile)).toEqual([]);
  });

  test('a size that the disk lacks is refused before anything is made', async () => {
    await expect(create('btrfs', 1024 ** 5)).rejects.toMatchObject({ code: 'volume-full' });
    await expect(create('xfs', 10 * MIB)).rejects.toMatchObject({ code: 'usage' });
    expect(await readdir(place.folder)).toEqual([]);
  });

  test('a busy volume is not torn away', async () => {
    const made = await create('btrfs');
    const busy = await attachLoop(place.imageFile);
    expect(busy).toMatch(/^\/dev\/loop/);
    const holder = await import('node:fs/promises').then(({ open }) => open(join(place.mountPoint, 'open'), 'w'));
    try {
      await expect(destroyImage(place.imageFile)).rejects.toThrow(/could not unmount/);
      expect(await isMounted(made)).toBe(true);
    } finally {
      await holder.close();
    }
  });
});
