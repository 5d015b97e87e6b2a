/** A quorum group that archives its WAL by itself: whoever dies, one archiver goes on, and nothing acknowledged is missing from the archive. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ArchiveStatus, StatusDocument } from '../src/agent/api.ts';
import { archivesDir } from '../src/agent/archivers.ts';
import { allPids, isAlive, identify, sendSignal } from '../src/engine/proc.ts';
import { sleep } from '../src/lifecycle.ts';
import { parseLsn } from '../src/wal/lsn.ts';
import { askMember, targetsIn } from './support/ask.ts';
import { TestCluster } from './support/cluster.ts';
import type { Target } from './support/connect.ts';
import { quorumManifest } from './support/manifest.ts';
import { Writer } from './support/writer.ts';
import { onVersion } from './support/versions.ts';

const WRITABLE_MS = 60_000;

const manifest = (version: number, firstPort: number, archive?: string): string =>
  quorumManifest({ cluster: 'quorum', version, firstPort, ...(archive === undefined ? {} : { archive }), settings: { shared_buffers: '32MB', wal_keep_size: 0 } });

describe.each(onVersion(18))('a group of PostgreSQL %i that archives its WAL by itself', (version) => {
  let cluster: TestCluster;
  let repository: string;
  let targets: Target[];
  let writer: Writer;

  beforeAll(async () => {
    cluster = await TestCluster.open();
    repository = join(cluster.folder, 'backups');
    await cluster.up(manifest(version, cluster.firstPort, `{ to: ${repository} }`));
    targets = await targetsIn(cluster);
    writer = await Writer.start({ targets: () => targets, sessions: 1 });
  });
  afterAll(async () => {
    await writer?.stop();
    await cluster?.destroy();
  });

  const archive = async (): Promise<ArchiveStatus> => (await cluster.group()).archive!;

  /** The archive's state once it has all that the primary has flushed by now. */
  async function current(check: (status: ArchiveStatus) => boolean = () => true): Promise<ArchiveStatus> {
    const end = parseLsn((await askMember(cluster, 'select pg_current_wal_flush_lsn()'))!);
    let found: ArchiveStatus | null = null;
    await expect.poll(async () => {
      found = await archive().catch(() => null);
      return found !== null && found.state === 'streaming' && found.lsn !== null && parseLsn(found.lsn) >= end && check(found);
    }, { timeout: 60_000, interval: 100 }).toBe(true);
    return found!;
  }

  /** The archivers of this cluster that run, whoever started them. */
  function archivers(): number[] {
    const of = `${join(cluster.home, cluster.name)}/`;
    return allPids().filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words.some((word) => word.endsWith('/backup/archive/main.js')) && words.some((word) => word.startsWith(of));
      } catch {
        return false;
      }
    });
  }

  const systemDir = (): string => join(repository, readdirSync(repository).find((name) => name.startsWith('quorum-main-'))!);

  test('begins by itself, from the logger, and takes backups there', async () => {
    const status = await current(({ source }) => source === 'n3');
    expect(status).toMatchObject({ to: repository, error: null, gap: null });
    expect(['h2', 'h3']).toContain(status.host);
    expect(archivers()).toEqual([status.pid]);
    expect(await cluster.must('backup')).toMatchObject({ repository });
    expect(await cluster.must('backup', 'ls')).toMatchObject({ repository, backups: [{ cluster: 'quorum' }] });
    expect(await cluster.cli('backup', 'rm', '--keep', '1')).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing to remove'), stderr: expect.stringContaining(`${repository}, where cluster quorum archives main`) });
    expect(await askMember(cluster, "select string_agg(slot_name, ' ') from pg_replication_slots where slot_name = 'pgorbit__archive'", 'n2')).toBe('pgorbit__archive');
    const refused = await cluster.cli('backup', 'archive', '--to', repository);
    expect(refused).toMatchObject({ code: 3, stderr: expect.stringContaining('by itself') });
  });

  test('goes on when the archiver is killed, and while its agent is', async () => {
    const { pid, host } = await archive();
    sendSignal(pid!, 'SIGKILL');
    const again = await current((status) => status.pid !== null && status.pid !== pid);
    expect(archivers()).toEqual([again.pid]);
    await cluster.killAgent(host!);
    await cluster.must('up');
    expect(await current((status) => status.pid !== null)).toMatchObject({ host, pid: again.pid });
    expect(archivers()).toEqual([again.pid]);
  });

  test('follows a failover', async () => {
    const before = performance.now();
    await cluster.kill('n1');
    await writer.acknowledgedAfter(before, WRITABLE_MS);
    await current(({ timeline }) => timeline === 2);
    expect(readdirSync(join(systemDir(), 'wal'))).toContain('00000002.history');
    await cluster.waitHealthy({ members: 3 });
    // Whoever may be the next primary holds what is not archived, and no more.
    const end = (await askMember(cluster, 'select pg_current_wal_flush_lsn()'))!;
    for (const name of ['n1', 'n2']) {
      await expect.poll(() => askMember(cluster, `select restart_lsn >= '${end}' from pg_replication_slots where slot_name = 'pgorbit__archive'`, name).catch(String), { timeout: 30_000 }).toBe('true');
    }
  });

  test('is handed over when its host is lost, and the old archiver ends by itself', async () => {
    const { host, pid } = await archive();
    const old = identify(pid!)!;
    await cluster.killAgent(host!);
    const after = await current((status) => status.host !== host && status.pid !== null);
    while (isAlive(old)) await sleep(20);
    expect(archivers()).toEqual([after.pid]);
    expect(JSON.parse(readFileSync(join(systemDir(), 'archive.lock'), 'utf8'))).toMatchObject({ pid: after.pid, lease: { epoch: 2 } });
  });

  test('has every acknowledged row, in a chain without a gap', async () => {
    await writer.stop();
    await current();
    const names = readdirSync(join(systemDir(), 'wal'));
    const numbers = [...new Set(names.map((name) => /^[0-9A-F]{8}([0-9A-F]{16})/.exec(name)?.[1]).filter((name) => name !== undefined))].sort().map((name) => Number.parseInt(name.slice(8), 16));
    expect(numbers).toEqual(numbers.map((_, i) => numbers[0]! + i));
    expect(await cluster.must('backup', 'verify')).toMatchObject({ repository, sound: true, problems: [] });
    expect(await cluster.must<{ status: StatusDocument }>('restore', '--as', 'past', '--port', String(cluster.firstPort + 30))).toMatchObject({ repository });
    const { results } = await cluster.must<{ results: { rows: [string][] }[] }>('sql', '--cluster', 'past', '-c', 'select id from writer_log');
    const present = new Set(results[0]!.rows.map(([id]) => Number(id)));
    expect(writer.acknowledgements.count).toBeGreaterThan(1000);
    expect(writer.acknowledgements.missing(present, writer.acknowledgements.count)).toEqual([]);
    await cluster.must('destroy', '--cluster', 'past', '--yes');
  });

  test('is told in events, and ends with its key: no archiver, no slot, nothing left with the agents', async () => {
    const kinds = (await cluster.events()).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'archive-assigned')).toHaveLength(2);
    expect(kinds).toContain('archive-streaming');
    expect(kinds).not.toContain('archive-gap');
    await cluster.must('down');
    // Nobody is there to be asked: what was applied last knows the repository.
    for (const args of [[], ['--from', repository]]) expect(await cluster.must('backup', 'ls', ...args)).toMatchObject({ repository, backups: [{ cluster: 'quorum' }] });
    await cluster.up(manifest(version, cluster.firstPort));
    for (const args of [['backup'], ['backup', 'verify'], ['restore', '--as', 'past']]) {
      expect(await cluster.cli(...args)).toMatchObject({ code: 2, stderr: expect.stringContaining('no repository was named, and the manifest of cluster quorum names none for main') });
    }
    await expect.poll(archivers, { timeout: 20_000 }).toEqual([]);
    for (const name of ['n1', 'n2']) await expect.poll(() => askMember(cluster, "select count(*) from pg_replication_slots where slot_name = 'pgorbit__archive'", name), { timeout: 20_000 }).toBe('0');
    expect((await cluster.group()).archive).toBe(null);
    for (const host of ['h1', 'h2', 'h3']) await expect.poll(() => existsSync(join(archivesDir(cluster.home, cluster.name, host), 'main')), { timeout: 20_000 }).toBe(false);
  });
});
