import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createImage } from '../../src/volume/image.ts';
import { findLeftovers, isNothing } from './leftovers.ts';
import { OWNER_FILE, ownerText, PREFIX, sweepStale } from './stale.ts';
import { whyNoImages } from './volume.ts';

const why = await whyNoImages();
const DEAD = JSON.stringify({ pid: spawnSync('true').pid, startTime: '1', bootId: 'of another boot' });

describe.skipIf(why !== null)(`what a killed test left${why === null ? '' : ` (skipped: ${why})`}`, () => {
  let parent: string;
  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'pgorbit-sweep-'));
    await chmod(parent, 0o755);
  });
  afterEach(async () => {
    await sweepStale(parent);
    await rm(parent, { recursive: true, force: true });
  });

  async function folderOf(name: string, owner: string | null): Promise<string> {
    const folder = join(parent, `${PREFIX}${name}`);
    await mkdir(folder);
    if (owner !== null) await writeFile(join(folder, OWNER_FILE), owner);
    return folder;
  }

  test('a mounted image of a dead owner is unmounted, detached and deleted', async () => {
    const folder = await folderOf('dead', DEAD);
    await createImage({ imageFile: join(folder, 'image'), mountPoint: join(folder, 'mnt'), size: 128 * 1024 * 1024, fs: 'btrfs' });
    const before = await findLeftovers(folder);
    expect(before.mounts).toEqual([join(folder, 'mnt')]);
    expect(before.loops).toHaveLength(1);
    await sweepStale(parent);
    expect(existsSync(folder)).toBe(false);
    expect(isNothing(await findLeftovers(folder))).toBe(true);
  });

  test('the folder of a living owner stays, and so does one whose owner is not known yet', async () => {
    const living = await folderOf('living', ownerText());
    const unknown = await folderOf('unknown', null);
    await sweepStale(parent);
    expect([existsSync(living), existsSync(unknown)]).toEqual([true, true]);
  });
});
