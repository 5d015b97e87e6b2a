import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestS3 } from '../../backup/testing/s3-server.ts';
import type { Context } from '../context.ts';
import { repositoryOf } from './repository.ts';

const cleanup: (() => unknown)[] = [];
let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'pgorbit-repository-'));
  cleanup.push(() => rmSync(cwd, { recursive: true, force: true }));
});
afterEach(async () => {
  for (const one of cleanup.splice(0).toReversed()) await one();
});

const context = (env: NodeJS.ProcessEnv): Context => ({ env, cwd, home: join(cwd, 'home'), signal: new AbortController().signal }) as Context;
const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no error', (error: unknown) => error);

describe('repositoryOf', () => {
  it('is a folder, from where the command stands', async () => {
    expect((await repositoryOf(context({}), '--to', 'here', {}, true)).where).toBe(join(cwd, 'here'));
    expect((await repositoryOf(context({ PGORBIT_BACKUPS: 'here' }), '--from', undefined, {})).where).toBe(join(cwd, 'here'));
  });

  it('is a prefix of a bucket, with keys from the environment or a document beside the command', async () => {
    const s3 = await TestS3.start(cleanup);
    const keys = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' };
    expect((await repositoryOf(context(keys), '--to', 's3://backups/a', { s3Endpoint: s3.endpoint, s3Region: 'eu-west-1' }, true)).where).toBe('s3://backups/a');
    expect(s3.asked[0]!.headers['authorization']).toContain('/eu-west-1/s3/');
    writeFileSync(join(cwd, 's3.yaml'), `endpoint: ${s3.endpoint}\naccessKeyId: S3RVER\nsecretAccessKey: S3RVER\n`);
    chmodSync(join(cwd, 's3.yaml'), 0o600);
    for (const [env, options] of [[{}, { s3Config: 's3.yaml' }], [{ PGORBIT_S3_CONFIG: 's3.yaml' }, {}]] as const) {
      expect((await repositoryOf(context({ ...env, PGORBIT_BACKUPS: 's3://backups/a' }), '--from', undefined, options)).where).toBe('s3://backups/a');
    }
    expect(await errorOf(repositoryOf(context({}), '--from', 's3://backups/b', { s3Config: 's3.yaml' }))).toMatchObject({ code: 'no-such-backup', message: expect.stringContaining('s3://backups/b') });
  });

  it.each<[string, string | undefined, object, string]>([
    ['nothing', undefined, {}, 'no repository was named'],
    ['another kind of store', 'ftp://x/y', {}, 'neither a folder nor an S3 store'],
    ['options of S3 for a folder', 'here', { s3Region: 'x' }, 'is a folder'],
    ['S3 without keys', 's3://backups', {}, 'no access key'],
    ['S3 without a bucket', 's3://', {}, 'names no S3 store'],
  ])('refuses %s', async (_what, named, options, message) => {
    expect(await errorOf(repositoryOf(context({}), '--from', named, options))).toMatchObject({ code: 'usage', message: expect.stringContaining(message) });
  });
});
