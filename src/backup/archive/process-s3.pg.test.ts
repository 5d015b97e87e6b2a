/** The archiver's process with a repository in S3: it gets there by its environment, and gives way to a later one. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sleep } from '../../lifecycle.ts';
import { parseLsn } from '../../wal/lsn.ts';
import { TestPostgres, suiteVersions } from '../../wal/testing/postgres.ts';
import { openRepository, SystemFolder } from '../repository.ts';
import { TestS3 } from '../testing/s3-server.ts';
import { scratch } from '../testing/server.ts';
import { checkSegment } from '../verify.ts';
import { type ArchiverFile, logFile, readStatus, writeConfig } from './files.ts';
import { adoptArchiver, startArchiver, stopArchiver } from './process.ts';

describe.each(suiteVersions(18))('an archiver of PostgreSQL %i to S3', (version) => {
  const cleanup: (() => unknown)[] = [];
  let server: TestPostgres;
  let s3: TestS3;
  let config: ArchiverFile;

  beforeAll(async () => {
    s3 = await TestS3.start(cleanup);
    server = await TestPostgres.create(version, { segmentMegabytes: 1 });
    cleanup.push(() => server.destroy());
    await server.value("select pg_create_physical_replication_slot('pgorbit__archive', true)");
    const { bucket, prefix } = s3.settings();
    config = {
      cluster: 'shop', clusterId: 'id', group: 'main', epoch: 1, to: `s3://${bucket}/${prefix}`, make: true, flushMs: 200, account: { user: 'postgres', password: '' },
      sources: [{ member: 'n1', address: '127.0.0.1', port: server.port, slot: 'pgorbit__archive' }],
    };
  });
  afterAll(async () => {
    for (const one of cleanup.splice(0).toReversed()) await one();
  });

  /** An archiver with the present configuration, in a folder of its own. */
  async function started(): Promise<string> {
    const folder = join(scratch(cleanup), 'archiver');
    mkdirSync(folder);
    cleanup.push(async () => {
      const left = adoptArchiver(folder);
      left?.release();
      if (left !== null) await stopArchiver(left);
    });
    await writeConfig(folder, config);
    const { endpoint, region, accessKeyId, secretAccessKey } = s3.settings();
    const { release } = await startArchiver(folder, { AWS_ENDPOINT_URL: endpoint, AWS_REGION: region, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
    release();
    return folder;
  }

  async function archived(folder: string): Promise<void> {
    const end = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
    for (;;) {
      const status = await readStatus(folder);
      if (status?.state === 'streaming' && status.lsn !== null && parseLsn(status.lsn) >= end) return;
      await sleep(50);
    }
  }

  it('archives the whole segments and the part of the last, and ends when a later one comes', async () => {
    const load = (): Promise<string> => server.value("select pg_logical_emit_message(true, 'x', repeat('x', 100000)) from generate_series(1, 35)");
    const first = await started();
    await archived(first);
    await load();
    await archived(first);
    const old = adoptArchiver(first)!;
    config = { ...config, epoch: 2, make: false };
    const second = await started();
    await old.exited;
    expect(readFileSync(logFile(first), 'utf8')).toContain('archiver 2 of the group is at work');
    await archived(second);
    await load();
    await archived(second);
    const [system] = await SystemFolder.all(await openRepository(s3.store()));
    const names = (await system!.store.list(system!.key('wal'))).map(({ key }) => key.slice(key.lastIndexOf('/') + 1)).sort();
    const whole = names.filter((name) => name.length === 24);
    expect(whole.length).toBeGreaterThan(5);
    expect(names.at(-1)).toMatch(/\.partial$/);
    expect(whole.map((name) => Number.parseInt(name.slice(16), 16))).toEqual(whole.map((_, i) => Number.parseInt(whole[0]!.slice(16), 16) + i));
    for (const name of whole) {
      expect(await checkSegment(system!, name)).toBe(null);
      expect((await system!.store.get(system!.key('wal', name)))!.equals(readFileSync(join(server.walDir, name)))).toBe(true);
    }
  });
});
