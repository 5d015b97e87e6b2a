import { randomBytes } from 'node:crypto';
import { chown, mkdir, open, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cloneFiles } from './clone-files.ts';
import { run } from './command.ts';
import { readMarker, type Marker } from './marker.ts';
import { planClone } from './plan-clone.ts';
import { BALLAST_FILE, ensureBallast, judgeSpace, readSpace, releaseBallast } from './space.ts';
import { MIB, testImage, whyNoImages, type TestImage } from './testing/image.ts';
import { openVolume, type Volume } from './volume.ts';

const why = await whyNoImages();
const SEGMENT = 16 * MIB;
const seg = (n: number): string => `0000000100000000${n.toString(16).toUpperCase().padStart(8, '0')}`;
const marker = (member: string): Marker => ({
  format: 1, clusterId: 'c1', cluster: 'shop', group: 'main', member, incarnation: 1, term: 1, systemIdentifier: null, madeAt: '',
});
const flushed = async (volume: Volume): Promise<void> => {
  expect((await run('sync', ['-f', volume.path])).code).toBe(0);
};
const usedBytes = async (volume: Volume): Promise<number> => {
  await flushed(volume);
  const { blocks, bfree, bsize } = await statfs(volume.path);
  return (blocks - bfree) * bsize;
};

/** Writes `bytes` random bytes at `offset` of a file in place. */
async function overwrite(file: string, offset: number, bytes: number): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.write(randomBytes(bytes), 0, bytes, offset);
  } finally {
    await handle.close();
  }
}

describe.skipIf(why !== null)(`volumes on real file systems${why === null ? '' : ` (skipped: ${why})`}`, () => {
  describe.each([
    { fs: 'btrfs', wanted: 'auto', driver: 'btrfs', size: 512 },
    { fs: 'xfs', wanted: 'auto', driver: 'reflink', size: 400 },
    { fs: 'btrfs', wanted: 'reflink', driver: 'reflink', size: 512 },
  ] as const)('$driver on $fs', ({ fs, wanted, driver, size }) => {
    let image: TestImage;
    let volume: Volume;
    const dirOf = (name: string): string => join(volume.path, 'shop', 'main', name);
    const table = (name: string): string => join(dirOf(name), 'data/base/5/16384');

    beforeAll(async () => {
      image = await testImage(fs, size * MIB);
      volume = await openVolume(image.mountPoint, wanted);
      await volume.createMember(dirOf('n1'), marker('n1'));
      const data = join(dirOf('n1'), 'data');
      for (const folder of ['base/5', 'global', 'pg_wal', 'pg_replslot/s']) await mkdir(join(data, folder), { recursive: true });
      await writeFile(table('n1'), randomBytes(40 * MIB));
      await writeFile(join(data, 'global/pg_control'), randomBytes(8192));
      await writeFile(join(data, 'pg_replslot/s/state'), 'slot');
      await writeFile(join(data, 'postmaster.pid'), '1');
      await writeFile(join(dirOf('n1'), 'fenced'), '{"term":1}');
      await chown(table('n1'), 1234, 1234);
      await flushed(volume);
    });
    afterAll(() => image?.destroy());

    test('the driver is found by trying', () => {
      expect(volume).toMatchObject({ driver, atomicClone: driver === 'btrfs' });
      expect(volume.why).not.toBe('');
    });

    test('a clone is whole, its own, and occupies next to nothing', async () => {
      const before = await usedBytes(volume);
      const result = await volume.cloneMember(dirOf('n1'), dirOf('n2'), { marker: marker('n2') });
      expect(result.copiedBytes).toBeLessThanOrEqual(8192);
      expect((await usedBytes(volume)) - before).toBeLessThan(2 * MIB);
      expect((await readMarker(dirOf('n2')))?.member).toBe('n2');
      expect((await readdir(dirOf('n2'))).sort()).toEqual(['data', 'pgorbit.json']);
      expect((await readdir(join(dirOf('n2'), 'data'))).sort()).toEqual(['base', 'global', 'pg_replslot', 'pg_wal']);
      expect(await readdir(join(dirOf('n2'), 'data/pg_replslot'))).toEqual([]);
      expect((await readFile(table('n2'))).equals(await readFile(table('n1')))).toBe(true);
      expect((await stat(table('n2'))).uid).toBe(1234);
      expect((await readdir(join(dirOf('n1'), 'data/pg_replslot')))).toEqual(['s']);
      await expect(volume.cloneMember(dirOf('n1'), dirOf('n2'))).rejects.toMatchObject({ code: 'unsafe' });
    });

    test('usage tells to the byte what was overwritten since', async () => {
      const members = [{ name: 'n1', dir: dirOf('n1') }, { name: 'n2', dir: dirOf('n2') }];
      await flushed(volume);
      const before = await volume.usage(members);
      const [own1, own2] = before.members.map(({ exclusive }) => exclusive) as [number, number];
      expect(before.shared).toBe(40 * MIB + (driver === 'btrfs' ? 8192 : 0));
      await overwrite(table('n2'), 8 * MIB, 4 * MIB);
      for (let page = 0; page < 50; page++) await overwrite(table('n2'), 20 * MIB + page * 65_536, 8192);
      await overwrite(table('n1'), 30 * MIB, MIB);
      await flushed(volume);
      const after = await volume.usage(members);
      const diverged = 4 * MIB + 50 * 8192 + MIB;
      expect(after.shared).toBe(before.shared - diverged);
      expect(after.members.map(({ exclusive }) => exclusive)).toEqual([own1 + diverged, own2 + diverged]);
      expect(after.logical).toBe(before.logical);
      expect(after.exact).toBe(true);
      // A second look has the same answer: what is remembered is not stale.
      expect(await volume.usage(members)).toMatchObject({ shared: after.shared, members: after.members });
    });

    test('sharing WAL frees what was doubled, and nothing that differs or is open', async () => {
      const [from, to] = [join(dirOf('n1'), 'data/pg_wal'), join(dirOf('n2'), 'data/pg_wal')];
      for (const n of [1, 2, 3, 4]) {
        const bytes = randomBytes(SEGMENT);
        await writeFile(join(from, seg(n)), bytes, { mode: 0o600 });
        if (n === 3) bytes[SEGMENT - 1]! ^= 1;
        await writeFile(join(to, seg(n)), bytes, { mode: 0o600 });
        await chown(join(to, seg(n)), 1234, 1234);
      }
      const kept = await readFile(join(to, seg(3)));
      const before = await usedBytes(volume);
      const { mtimeMs } = await stat(join(to, seg(1)));
      const rate = 1024 * MIB;
      expect(await volume.shareWal(from, to, { upTo: seg(4), bytesPerSecond: rate })).toEqual({ segments: 2, freed: 2 * SEGMENT });
      expect(Math.abs(before - (await usedBytes(volume)) - 2 * SEGMENT)).toBeLessThan(MIB);
      const shared = await stat(join(to, seg(1)));
      expect([shared.uid, shared.mode & 0o777, Math.abs(shared.mtimeMs - mtimeMs) < 1]).toEqual([1234, 0o600, true]);
      expect((await readFile(join(to, seg(3)))).equals(kept)).toBe(true);
      expect((await readFile(join(to, seg(1)))).equals(await readFile(join(from, seg(1))))).toBe(true);
      expect(await volume.shareWal(from, to, { upTo: seg(4), bytesPerSecond: rate })).toEqual({ segments: 0, freed: 0 });
      const stopped = AbortSignal.abort();
      expect(await volume.shareWal(from, to, { upTo: seg(5), signal: stopped })).toEqual({ segments: 0, freed: 0 });
      expect(await readdir(to)).toEqual((await readdir(from)));
    });

    test('a file in too many pieces is copied, and that is said', async () => {
      const target = join(volume.path, 'scattered');
      const plan = await planClone(dirOf('n2'));
      const work = { reflink: true, scattered: { extents: 20, fromBytes: 32 * MIB } };
      const result = await cloneFiles(dirOf('n2'), target, plan, work);
      expect(result.notes).toEqual(['data/base/5/16384 lies in more than 20 pieces and was copied']);
      expect(result.copiedBytes).toBe(40 * MIB + 8192);
      expect((await readFile(join(target, 'data/base/5/16384'))).equals(await readFile(table('n2')))).toBe(true);
      expect((await stat(join(target, 'data/base/5/16384'))).uid).toBe(1234);
      await rm(target, { recursive: true });
    });

    test('a leftover of a crash is cleared, a member moves and goes with its bytes', async () => {
      await volume.cloneMember(dirOf('n1'), dirOf('.n3.pgorbit-new'), { marker: marker('n3') });
      await volume.cloneMember(dirOf('n1'), dirOf('n3'), { marker: marker('n3') });
      await volume.moveMember(dirOf('n3'), dirOf('n3.before'));
      await volume.removeMember(dirOf('n3.before'));
      expect((await readdir(join(volume.path, 'shop/main'))).sort()).toEqual(['n1', 'n2']);
      expect(await readdir(volume.path)).toEqual(['shop']);
    });

    test('a ballast keeps space, and gives it back on a full volume', async () => {
      const ballast = await ensureBallast(volume.path);
      expect(ballast).toBe(16 * MIB);
      const fill = join(volume.path, 'fill');
      const handle = await open(fill, 'w');
      try {
        await expect((async () => {
          for (;;) await handle.write(randomBytes(4 * MIB));
        })()).rejects.toMatchObject({ code: 'ENOSPC' });
      } finally {
        await handle.close();
      }
      await flushed(volume);
      const space = await readSpace(volume.path);
      expect(judgeSpace({ ...space, ballast: 0 }).level).toBe('critical');
      const copying = await openVolume(volume.path, 'copy').catch((error: unknown) => error);
      const refused = copying instanceof Error ? Promise.reject(copying) : (copying as Volume).cloneMember(dirOf('n1'), dirOf('n4'));
      await expect(refused).rejects.toMatchObject({ code: 'volume-full' });
      expect((await readdir(join(volume.path, 'shop/main'))).sort()).toEqual(['n1', 'n2']);
      expect(await releaseBallast(volume.path)).toBe(16 * MIB);
      await flushed(volume);
      await writeFile(join(volume.path, 'room'), randomBytes(8 * MIB));
      await flushed(volume);
      expect(await readdir(volume.path)).not.toContain(BALLAST_FILE);
    });
  });
});
