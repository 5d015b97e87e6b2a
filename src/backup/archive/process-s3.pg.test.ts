/** The archiver's process with a repository in S3: it gets there by its environment, and gives way to a later one. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestPostgres, suiteVersions } from '../../wal/testing/postgres.ts';
import { openRepository, SystemFolder } from '../repository.ts';
import { archivedBy, archiverOf, startedIn } from '../testing/archiver.ts';
import { TestS3 } from '../testing/s3-server.ts';
import { checkSegment } from '../verify.ts';
import { type ArchiverFile, logFile } from './files.ts';
import { adoptArchiver } from './process.ts';

describe.each(suiteVersions(18))('an archiver of PostgreSQL %i to S3', (version) => {
  const cleanup: (() => unknown)[] = [];
  let server: TestPostgres;
  let s3: TestS3;
  let config: ArchiverFile;

  beforeAll(async () => {
    s3 = await TestS3.start(cleanup);
    server = await TestPostgres.create(version, { segmentMegabytes: 1 });
    cleanup.push(() => server.destroy());
    const { bucket, prefix } = s3.settings();
    config = await archiverOf(server, `s3://${bucket}/${prefix}`);
  });
  afterAll(async () => {
    for (const one of cleanup.splice(0).toReversed()) await one();
  });

  async function started(): Promise<string> {
    const { endpoint, region, accessKeyId, secretAccessKey } = s3.settings();
    return startedIn(config, cleanup, { AWS_ENDPOINT_URL: endpoint, AWS_REGION: region, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
  }

  it('archives the whole segments and the part of the last, and ends when a later one comes', async () => {
    const load = (): Promise<string> => server.value("select pg_logical_emit_message(true, 'x', repeat('x', 100000)) from generate_series(1, 35)");
    const first = await started();
    await archivedBy(first, server);
    await load();
    await archivedBy(first, server);
    const old = adoptArchiver(first)!;
    config = { ...config, epoch: 2, make: false };
    const second = await started();
    await old.exited;
    expect(readFileSync(logFile(first), 'utf8')).toContain('archiver 2 of the group is at work');
    await archivedBy(second, server);
    await load();
    await archivedBy(second, server);
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
