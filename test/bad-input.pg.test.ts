/** Wrong use and hostile surroundings: each is refused with what, where and what to do, by its exit code, and changes nothing. */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { findPort } from '../src/agent/ports.ts';
import { chooseDriver } from '../src/volume/probe.ts';
import { BIN } from './support/built.ts';
import { TestCluster, type CliResult } from './support/cluster.ts';
import { describeLeftovers } from './support/leftovers.ts';
import { runProgram } from './support/program.ts';
import { SCENES, sceneManifest, whyNotHere, type Scene } from './support/scenes.ts';

const scene: Scene = SCENES.folder;
const reason = await whyNotHere(scene);
const root = process.getuid?.() === 0;
const clones = (await chooseDriver(tmpdir(), 'auto')).driver !== 'copy';

/** What is on disk below `dir`: paths, kinds, sizes, and the content of small files. Agents' own files change all the time. */
function picture(dir: string): string[] {
  const seen: string[] = [];
  const walk = (at: string): void => {
    for (const name of readdirSync(at).sort()) {
      const path = join(at, name);
      const entry = lstatSync(path);
      if (/^(engines|agent|data|log|sock.*)$/.test(name)) seen.push(`${path}/`);
      else if (entry.isDirectory()) {
        seen.push(`${path}/`);
        walk(path);
      } else seen.push(`${path} ${entry.isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex') : entry.mode}`);
    }
  };
  walk(dir);
  return seen;
}

interface Refusal {
  code: number;
  /** What the error must say; each in message or hint. */
  says: (string | RegExp)[];
}

function expectRefusal(result: CliResult, { code, says }: Refusal): void {
  expect(result.code, result.stderr + result.stdout).toBe(code);
  const { error } = result.json as { error: { code: string; message: string; hint?: string } };
  for (const text of says) expect(`${error.code}: ${error.message}\n${error.hint ?? ''}`).toMatch(text);
  expect(error.code).not.toBe('internal');
  // For a person the same, and no stack, which only PGORBIT_DEBUG brings.
  expect(result.stderr).toContain('error: ');
}

describe.skipIf(reason !== null)(`before there is a cluster${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  let cluster: TestCluster;
  let base: string;

  beforeAll(async () => {
    cluster = await TestCluster.open();
    base = sceneManifest(cluster, scene, { replicas: 1 });
    // The engine is copied into the home by whatever command first looks for it.
    await cluster.cli('doctor');
  });
  afterAll(() => cluster?.destroy());
  // What should have been refused and was not, is no matter of the next test.
  afterEach(async () => {
    if (existsSync(join(cluster.home, 'test'))) await cluster.cli('destroy', '--yes');
  });

  /** `up` with the manifest is refused, and leaves nothing. */
  async function refused(manifest: string, refusal: Refusal): Promise<CliResult> {
    const file = join(cluster.folder, 'work', 'bad.yaml');
    await writeFile(file, manifest);
    const before = picture(cluster.folder);
    const result = await cluster.cli('up', file, '--json');
    expectRefusal(result, refusal);
    expect(picture(cluster.folder)).toEqual(before);
    expect(describeLeftovers(await cluster.leftovers())).toBe('');
    return result;
  }

  test('an unknown key, with line and column and what was meant', async () => {
    await refused(base.replace('commit: async', 'comit: async'), { code: 2, says: ['manifest-invalid', /bad\.yaml:\d+:\d+/, 'comit', 'did you mean `commit`'] });
  });

  test('all mistakes at once', async () => {
    const { json } = await refused(base.replace('commit: async', 'comit: async').replace('role: replica', 'role: replika'), { code: 2, says: ['comit', 'replika', '`replica`'] });
    expect((json as { error: { message: string } }).error.message).toContain('2 errors');
  });

  test('a name that is there twice', async () => {
    await refused(base.replace(/n2:/, 'n1:'), { code: 2, says: ['manifest-invalid', 'n1', /twice|unique|duplicate/i] });
  });

  test('a port that is given twice', async () => {
    const [first, second] = [cluster.firstPort + 20, cluster.firstPort + 21];
    await refused(base.replace(`port: ${second}`, `port: ${first}`), { code: 2, says: ['manifest-invalid', String(first), 'n1'] });
  });

  test('a port that another program has', async () => {
    const port = await findPort({ address: '127.0.0.1', from: cluster.firstPort + 30, except: [], exactly: false });
    const server = await listen(port ?? 0);
    try {
      await refused(base.replace(`port: ${cluster.firstPort + 20}`, `port: ${port}`), { code: 1, says: ['port-in-use', String(port), 'n1', 'ss -ltnp'] });
    } finally {
      server.close();
    }
  });

  test.each([
    ['a role that is none', 'role: boss', ['boss', '`replica`']],
    ['two primaries', 'role: primary', ['primary', 'n1', 'n2']],
  ] as const)('%s', async (_what, role, says) => {
    await refused(base.replace('role: replica', role), { code: 2, says: [...says] });
  });

  test.each([
    ['local storage that names a volume', 'storage: local', ['storage: local', 'volume']],
    ['a preferred primary that is no member', 'storage: shared\n    preferred_primary: n9', ['preferred_primary', 'n9']],
    ['a commit that a majority confirms and nobody waits for', 'storage: shared\n    commit: quorum\n    election_timeout: 10ms', ['election_timeout', '10ms']],
  ] as const)('%s', async (_what, storage, says) => {
    await refused(base.replace('storage: shared', storage).replace('    commit: async\n', ''), { code: 2, says: [...says] });
  });

  test.skipIf(clones)('driver: reflink where nothing can be cloned', async () => {
    await refused(base.replace('driver: copy', 'driver: reflink'), { code: 1, says: ['no-clone-support', cluster.folder, 'copy', 'volume create'] });
  });

  test('a data directory that pgorbit did not make', async () => {
    const dir = join(cluster.volume, 'test', 'main', 'n1');
    await mkdir(join(dir, 'data'), { recursive: true });
    await writeFile(join(dir, 'data', 'PG_VERSION'), '18\n');
    try {
      await refused(base, { code: 3, says: ['not-ours', dir, 'move'] });
    } finally {
      await runProgram('rm', ['-r', cluster.volume]);
    }
  });

  test("another cluster's data directory", async () => {
    const dir = join(cluster.volume, 'test', 'main', 'n1');
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'pgorbit.json'), JSON.stringify({ format: 1, clusterId: 'c0ffee00-0000-4000-8000-000000000000', cluster: 'other', group: 'main', member: 'n1', incarnation: 1, term: 1, systemIdentifier: '1', madeAt: '2026-01-01T00:00:00.000Z' }));
    try {
      await refused(base, { code: 3, says: [dir] });
    } finally {
      await runProgram('rm', ['-r', cluster.volume]);
    }
  });

  test('an engine that is not there', async () => {
    await refused(base.replace(/version: \d+/, 'version: 16'), { code: 1, says: ['engine-missing', 'PostgreSQL 16', 'apt-get install postgresql-16', '/usr/lib/postgresql'] });
    await refused(base.replace(/version: \d+/, 'version: 12'), { code: 2, says: ['12', '15'] });
    await refused(base.replace(/version: \d+/, `bin: ${join(cluster.folder, 'empty')}`), { code: 1, says: ['engine-missing', join(cluster.folder, 'empty'), 'initdb'] });
  });

  test('a setting that would break the cluster, and one that PostgreSQL does not take', async () => {
    const withSetting = (line: string): string => base.replace('    members:', `    settings:\n      ${line}\n    members:`);
    await refused(withSetting('fsync: off'), { code: 2, says: ['fsync', /\d+:\d+/] });
    await refused(withSetting('shared_bufers: 1GB'), { code: 2, says: ['shared_bufers'] });
    await refused(withSetting('work_mem: plenty'), { code: 2, says: ['work_mem', 'plenty'] });
    await refused(withSetting('shared_buffers: 4TB'), { code: 1, says: ['shared-memory', 'shared_buffers', 'MB'] });
  });

  test('hosts of which none is this machine', async () => {
    await refused(base.replaceAll('127.0.0.1', '10.255.255.1'), { code: 1, says: ['host-unreachable', 'h1', '10.255.255.1', '127.0.0.1'] });
  });

  test('a manifest that is missing, empty, no YAML, or a folder', async () => {
    await refused('', { code: 2, says: ['bad.yaml'] });
    await refused('cluster: [', { code: 2, says: ['manifest-invalid', /bad\.yaml:\d+/] });
    expectRefusal(await cluster.cli('up', 'nowhere.yaml', '--json'), { code: 2, says: ['manifest-unreadable', 'nowhere.yaml'] });
    expectRefusal(await cluster.cli('up', cluster.folder, '--json'), { code: 2, says: ['manifest-unreadable', 'folder'] });
  });

  test('commands for a cluster that is not there', async () => {
    for (const args of [['status'], ['sql', '-c', 'select 1'], ['add', 'replica'], ['down'], ['destroy', '--yes']]) {
      expectRefusal(await cluster.cli(...args, '--json'), { code: 2, says: ['no-such-cluster', cluster.home, 'pgorbit up'] });
    }
  });

  test.skipIf(!root)('a volume that is too small, and one that is full', async () => {
    const small = await whyNotHere(SCENES.btrfs);
    if (small !== null) return;
    await refused(sceneManifest(cluster, SCENES.btrfs, { size: '64MB' }), { code: 2, says: ['size', '512MB'] });
    await refused(sceneManifest(cluster, SCENES.btrfs, { size: '900TB' }), { code: 1, says: ['volume-full', cluster.folder, 'smaller size'] });
  });

  test.skipIf(!root)('too little shared memory', async () => {
    const file = join(cluster.folder, 'work', 'bad.yaml');
    await writeFile(file, base);
    const before = picture(cluster.folder);
    // A mount namespace of its own: the machine's /dev/shm stays as it is.
    const inside = 'mount --make-rprivate / && mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$@"';
    const ended = await runProgram('unshare', ['-m', 'sh', '-c', inside, 'sh', process.execPath, BIN, 'up', file, '--json'], {
      env: { PATH: process.env['PATH'], HOME: join(cluster.folder, 'empty'), PGORBIT_HOME: cluster.home }, cwd: join(cluster.folder, 'work'),
    });
    expect(ended.stderr).not.toMatch(/unshare|permission denied/i);
    expectRefusal({ ...ended, json: JSON.parse(ended.stdout) }, { code: 1, says: ['shared-memory', '/dev/shm', 'MB', 'remount'] });
    expect(picture(cluster.folder)).toEqual(before);
  });
});

describe.skipIf(reason !== null)(`beside a cluster that runs${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  let cluster: TestCluster;
  let base: string;

  beforeAll(async () => {
    cluster = await TestCluster.open();
    base = sceneManifest(cluster, scene, { replicas: 1 });
    await cluster.up(base);
  });
  afterAll(() => cluster?.destroy());

  const file = (): string => join(cluster.folder, 'work', 'bad.yaml');

  /** The command is refused, and the cluster is what it was. */
  async function refused(args: string[], refusal: Refusal): Promise<void> {
    const look = async (): Promise<unknown> => ({
      disk: picture(cluster.home), volume: picture(cluster.volume), pids: await cluster.pids(), cluster: await cluster.call('GET /v1/cluster', {}),
      mine: readFileSync(join(cluster.folder, 'work', 'manifest.yaml'), 'utf8'),
    });
    const before = await look();
    expectRefusal(await cluster.cli(...args, '--json'), refusal);
    expect(await look()).toEqual(before);
  }

  test('removing the primary, by command and by manifest', async () => {
    await refused(['remove', 'n1'], { code: 3, says: ['remove-primary', 'n1', 'switchover'] });
    await writeFile(file(), base.replace(/ +n1: .*\n/, '').replace('role: replica', 'role: primary'));
    await refused(['up', file()], { code: 3, says: ['remove-primary', 'n1'] });
  });

  test('removing the primary by a manifest while no agent runs', async () => {
    await cluster.must('down');
    const before = { disk: picture(cluster.home), volume: picture(cluster.volume) };
    expectRefusal(await cluster.cli('up', file(), '--json'), { code: 3, says: ['remove-primary', 'n1'] });
    expect({ disk: picture(cluster.home), volume: picture(cluster.volume) }).toEqual(before);
    await cluster.must('up');
  });

  test('scaling to -1, to nonsense, to more than PostgreSQL serves', async () => {
    for (const [wanted, word] of [['-1', '-1'], ['many', 'many'], ['99', '15'], ['1.5', '1.5']] as const) {
      await refused(['scale', '--replicas', wanted], { code: 2, says: ['--replicas', word] });
    }
  });

  test.each([
    [['remove', 'n9'], ['no-such-member', 'n9', 'n1, n2']],
    [['switchover', '--to', 'n9'], ['no-such-member', 'n9']],
    [['switchover', '--to', 'n1'], ['usage', 'n1', 'primary']],
    [['add', 'replica', '--host', 'h9'], ['no-such-host', 'h9', 'h1']],
    [['add', 'replica', '--name', 'n2'], ['n2', /twice|already|unique/i]],
    [['add', 'replica', '--name', 'N_2'], ['N_2']],
    [['add', 'logger', '--host', 'h9'], ['no-such-host', 'h9', 'h1']],
    [['set', 'fsync=off'], ['fsync', 'crash']],
    [['set', 'shared_bufers=1GB'], ['shared_bufers']],
    [['set', 'work_mem'], ['work_mem', '=']],
    [['restart', 'n9'], ['no-such-member', 'n9']],
    [['volume', 'du', 'nope'], ['no-such-volume', 'nope', 'main']],
    [['frobnicate'], ['usage', 'frobnicate']],
    [['uri', '--endpoint', 'split'], ['split', 'rw']],
  ] as [string[], (string | RegExp)[]][])('pgorbit %j', async (args, says) => {
    await refused(args, { code: 2, says });
  });

  test('a new member on a port that is in use', async () => {
    const { port } = await cluster.member('n1');
    await refused(['add', 'replica', '--port', String(port)], { code: 2, says: [String(port), 'n1'] });
    const free = await findPort({ address: '127.0.0.1', from: cluster.firstPort + 30, except: [], exactly: false });
    const server = await listen(free ?? 0);
    try {
      await refused(['add', 'replica', '--port', String(free)], { code: 1, says: ['port-in-use', String(free), 'ss -ltnp'] });
    } finally {
      server.close();
    }
  });

  test('a manifest for another cluster, and changes that can not be made in place', async () => {
    await writeFile(file(), base.replace('cluster: test', 'cluster: other'));
    await refused(['up', file(), '--cluster', 'test'], { code: 3, says: ['other-cluster', 'other', 'test'] });
    // By its own name it is a second cluster, which may not have the ports of the first.
    await refused(['up', file()], { code: 1, says: ['port-in-use', 'n1'] });
    await writeFile(file(), base.replace(/version: \d+/, 'version: 15'));
    await refused(['up', file()], { code: 3, says: ['version', '15'] });
    await writeFile(file(), base.replace(JSON.stringify(cluster.volume), JSON.stringify(`${cluster.volume}2`)));
    await refused(['up', file()], { code: 3, says: ['volume', `${cluster.volume}2`] });
  });

  test('a folder in the place of a new member', async () => {
    const dir = join(cluster.volume, 'test', 'main', 'n3');
    await mkdir(dir);
    await writeFile(join(dir, 'mine.txt'), 'precious');
    await refused(['add', 'replica'], { code: 3, says: ['not-ours', dir, 'move'] });
    expect(readFileSync(join(dir, 'mine.txt'), 'utf8')).toBe('precious');
    await runProgram('rm', ['-r', dir]);
  });

  test('two commands at once: one is refused, and the other is not disturbed', async () => {
    const first = cluster.start(['add', 'replica', '--json']);
    await expect.poll(() => readdirSync(join(cluster.home, 'test')), { interval: 2, timeout: 20_000 }).toContain('up.lock');
    const second = await cluster.cli('up', '--json');
    expectRefusal(second, { code: 3, says: ['locked', 'add replica', /process \d+/, 'try again'] });
    const status = await cluster.cli('status', '--json');
    expect(status.code).toBe(0);
    const ended = await first.ended;
    expect(ended.code, ended.stderr).toBe(0);
    expect((await cluster.waitHealthy()).groups[0]?.members).toHaveLength(3);
    await cluster.must('remove', 'n3');
  });

  test('two first ups at once make one cluster', async () => {
    const other = await TestCluster.open();
    try {
      const manifest = join(other.folder, 'work', 'manifest.yaml');
      await writeFile(manifest, sceneManifest(other, scene, { cluster: 'twice', replicas: 1 }));
      const ended = await Promise.all([0, 1].map(() => other.cli('up', manifest, '--json')));
      const [won, lost] = ended.toSorted((a, b) => a.code - b.code);
      expect(won?.code, won?.stderr).toBe(0);
      // Or both came through, one after the other.
      if (lost?.code !== 0) expectRefusal(lost as CliResult, { code: lost?.json !== undefined && JSON.stringify(lost.json).includes('state-conflict') ? 1 : 3, says: [/locked|state-conflict/, 'try again'] });
      expect((await other.must<{ groups: { state: string }[] }>('status')).groups.map((group) => group.state)).toEqual(['healthy']);
      await other.must('destroy', '--yes');
    } finally {
      await other.destroy();
    }
  });

  test.skipIf(!root)('a home that may not be written', async () => {
    const home = join(cluster.folder, 'closed');
    await mkdir(home, { mode: 0o755 });
    await chmod(dirname(home), 0o755);
    await writeFile(file(), base.replace('cluster: test', 'cluster: closed').replaceAll(/, port: \d+/g, '').replace(JSON.stringify(cluster.volume), join(home, 'volume')));
    await chmod(file(), 0o644);
    const ended = await runProgram('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, BIN, 'up', file(), '--json'], {
      env: { PATH: process.env['PATH'], HOME: '/', PGORBIT_HOME: home }, cwd: '/',
    });
    expectRefusal({ ...ended, json: JSON.parse(ended.stdout) }, { code: 1, says: ['permission', home] });
    expect(readdirSync(home)).toEqual([]);
  });
});

/** Holds a port of 127.0.0.1. */
function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject).listen(port, '127.0.0.1', () => resolve(server));
  });
}
