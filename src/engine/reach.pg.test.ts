import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sleep } from '../lifecycle.ts';
import { fence } from './fence.ts';
import { giveTo, postgresOsUser, type OsUser } from './osuser.ts';
import { adoptPostgres } from './postmaster.ts';
import { folderKey } from './proc.ts';
import { mountPoints, reach, release } from './reach.ts';
import { isReady } from './sql.ts';
import { makeInstance, PASSWORD, testEngines } from './testing/scratch.ts';

const run = promisify(execFile);

// Bind mounts and another user's files need root.
describe.skipIf(process.getuid?.() !== 0)('as root, below a folder that only root may enter', () => {
  let closed: string;
  let user: OsUser;
  beforeEach(async () => {
    user = (await postgresOsUser())!;
    closed = await mkdtemp(join(tmpdir(), 'pgorbit-closed-'));
    await mkdir(join(closed, 'home', 'deep'), { recursive: true });
  });
  afterEach(async () => {
    await release(join(closed, 'home', 'x'), user);
    await release(join(closed, 'engines', 'x'), user);
    await rm(closed, { recursive: true, force: true });
  });
  /** Where something below the closed folder is mounted; other tests' mounts come and go. */
  const mounts = async (): Promise<string[]> => {
    const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter((line) => line.includes(basename(closed)));
    return mountPoints(lines.join('\n'));
  };
  const readAsUser = (path: string): Promise<unknown> => run('cat', [path], { uid: user.uid, gid: user.gid, cwd: '/' });

  test('the user reads through the mount, others do not, and release takes it away', async () => {
    await writeFile(join(closed, 'home', 'deep', 'file'), 'x', { mode: 0o644 });
    await expect(readAsUser(join(closed, 'home', 'deep', 'file'))).rejects.toThrow('Permission denied');
    const paths = await Promise.all(Array.from({ length: 8 }, () => reach(join(closed, 'home', 'deep'), user)));
    expect(new Set(paths).size).toBe(1);
    expect(paths[0]).toMatch(/^\/run\/pgorbit\/[0-9a-f]{10}\/dir\/deep$/);
    expect(await mounts()).toEqual([dirname(paths[0]!)]);
    await readAsUser(join(paths[0]!, 'file'));
    await expect(run('cat', [join(paths[0]!, 'file')], { uid: 65_500, gid: 65_500, cwd: '/' })).rejects.toThrow('Permission denied');
    expect(folderKey(paths[0]!)).toBe(folderKey(join(closed, 'home', 'deep')));
    expect((await stat(closed)).mode & 0o777).toBe(0o700);

    await release(join(closed, 'home', 'deep'), user);
    await release(join(closed, 'home', 'deep'), user);
    expect(await mounts()).toEqual([]);
  });

  test('a folder that was made anew is mounted anew', async () => {
    const path = join(closed, 'home', 'deep');
    await reach(path, user);
    await rename(join(closed, 'home'), join(closed, 'old'));
    await mkdir(path, { recursive: true });
    expect(folderKey(await reach(path, user))).toBe(folderKey(path));
    expect(await mounts()).toHaveLength(1);
  });

  test('an open path is itself, and a link into a closed one is followed', async () => {
    expect(await reach('/usr/bin', user)).toBe('/usr/bin');
    expect(await reach(join(closed, 'home'), null)).toBe(join(closed, 'home'));
    const link = `${closed}-link`;
    await symlink(join(closed, 'home', 'deep'), link);
    try {
      expect(await reach(link, user)).toBe(await reach(join(closed, 'home', 'deep'), user));
    } finally {
      await rm(link);
    }
  });

  test('where nothing may be mounted the error names the folder and the chmod', async () => {
    const script = join(import.meta.dirname, 'testing/reach-once.ts');
    const { stdout } = await run('setpriv', ['--bounding-set=-sys_admin', process.execPath, '--import', 'tsx', script, join(closed, 'home', 'deep')]);
    expect(JSON.parse(stdout)).toMatchObject({ code: 'permission', message: expect.stringContaining(closed), hint: expect.stringContaining(`chmod o+x ${closed}`) });
    expect(await mounts()).toEqual([]);
  });

  test('PostgreSQL runs there, is adopted and fenced by its plain path', async () => {
    const engine = (await testEngines(closed)).find((candidate) => candidate.source === 'embedded');
    expect(engine?.bin.startsWith(closed)).toBe(true);
    await giveTo(join(closed, 'home'), user);
    const instance = await makeInstance(join(closed, 'home'), 'm', engine!, { cgroup: true });
    try {
      const postmaster = await instance.start();
      while (!(await isReady({ host: instance.folder, port: instance.port, user: 'admin', password: PASSWORD }))) await sleep(20);
      const adopted = await adoptPostgres(instance.dataDir);
      expect(adopted?.id).toEqual(postmaster.id);
      adopted?.release();
      await release(instance.dataDir, user);
      expect(await mounts()).toHaveLength(2);
      expect((await fence(instance.dataDir, null)).killed).toBeGreaterThan(5);
      await postmaster.exited;
    } finally {
      await instance.destroy();
    }
    await release(instance.dataDir, user);
    await release(engine!.bin, user);
    expect(await mounts()).toEqual([]);
  });
});
