import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { s3Settings } from './settings.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-s3-settings-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no error', (error: unknown) => error);
const KEYS = { AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'hush' };

function document(text: string, mode = 0o600): string {
  const file = join(dir, 's3.yaml');
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

describe('s3Settings', () => {
  it('is AWS in us-east-1 without more', async () => {
    expect(await s3Settings('s3://bucket/a/b/', {}, KEYS)).toEqual({ bucket: 'bucket', prefix: 'a/b', endpoint: 'https://s3.us-east-1.amazonaws.com', region: 'us-east-1', style: 'host', accessKeyId: 'key', secretAccessKey: 'hush' });
    expect(await s3Settings('s3://bucket.with.dots', {}, { ...KEYS, AWS_REGION: 'eu-west-1', AWS_SESSION_TOKEN: 't' })).toMatchObject({ prefix: '', endpoint: 'https://s3.eu-west-1.amazonaws.com', style: 'path', sessionToken: 't' });
  });

  it('takes an option before PGORBIT_S3_, that before the document, and AWS_ last', async () => {
    const config = document('endpoint: https://document.example\nregion: document\nstyle: host\naccessKeyId: their key\nsecretAccessKey: their secret\n');
    const aws = { ...KEYS, AWS_ENDPOINT_URL: 'https://aws.example', AWS_REGION: 'aws', AWS_SESSION_TOKEN: 'of the other key' };
    const own = { PGORBIT_S3_ENDPOINT: 'http://127.0.0.1:9000', PGORBIT_S3_REGION: 'own', PGORBIT_S3_ACCESS_KEY_ID: 'mine', PGORBIT_S3_SECRET_ACCESS_KEY: 'my secret', PGORBIT_S3_STYLE: 'path' };
    expect(await s3Settings('s3://bucket', {}, aws)).toMatchObject({ endpoint: 'https://aws.example', region: 'aws', style: 'path', accessKeyId: 'key' });
    const stored = await s3Settings('s3://bucket', { config }, aws);
    expect(stored).toEqual({ bucket: 'bucket', prefix: '', endpoint: 'https://document.example', region: 'document', style: 'host', accessKeyId: 'their key', secretAccessKey: 'their secret' });
    expect(await s3Settings('s3://bucket', {}, { ...aws, PGORBIT_S3_CONFIG: config })).toEqual(stored);
    expect(await s3Settings('s3://bucket', { config }, { ...aws, ...own })).toMatchObject({ endpoint: 'http://127.0.0.1:9000', region: 'own', style: 'path', accessKeyId: 'mine', secretAccessKey: 'my secret' });
    expect(await s3Settings('s3://bucket', { config, endpoint: 'minio:9000', region: 'option' }, { ...aws, ...own })).toMatchObject({ endpoint: 'https://minio:9000', region: 'option' });
  });

  it.each(['s3://', 's3:///x', 's3://Bucket', 's3://bu', 's3://key:hush@bucket', 's3://bucket/a//b', 's3://bucket/../b', 's3://bucket/a?x=hush'])('%s is no store', async (where) => {
    expect(await errorOf(s3Settings(where, {}, KEYS))).toMatchObject({ code: 'usage' });
  });

  it.each(['https://key:hush@minio', 'https://minio/bucket', 'not an address', 'https://minio?x'])('%s is no endpoint, and is not repeated', async (endpoint) => {
    const error = await errorOf(s3Settings('s3://bucket', { endpoint }, KEYS));
    expect(error).toMatchObject({ code: 'usage' });
    expect(String(error)).not.toContain('hush');
  });

  it('says which key is missing', async () => {
    expect(await errorOf(s3Settings('s3://bucket', {}, {}))).toMatchObject({ code: 'usage', message: expect.stringContaining('no access key'), hint: expect.stringContaining('AWS_ACCESS_KEY_ID') });
    expect(await errorOf(s3Settings('s3://bucket', {}, { AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: '' }))).toMatchObject({ code: 'usage', message: expect.stringContaining('no secret key') });
  });

  it('refuses a document that others may read, that is not there, or that is none', async () => {
    expect(await errorOf(s3Settings('s3://bucket', { config: document('region: x\n', 0o640) }, KEYS))).toMatchObject({ code: 'permission', hint: expect.stringContaining('chmod 600') });
    expect(await errorOf(s3Settings('s3://bucket', { config: join(dir, 'none') }, KEYS))).toMatchObject({ code: 'usage', message: expect.stringContaining(join(dir, 'none')) });
    expect(await errorOf(s3Settings('s3://bucket', { config: document('secretKey: hush\n') }, KEYS))).toMatchObject({ code: 'usage', message: expect.stringContaining('secretKey') });
    const broken = await errorOf(s3Settings('s3://bucket', { config: document('secretAccessKey: "hush\n') }, KEYS));
    expect(broken).toMatchObject({ code: 'usage' });
    expect(String(broken)).not.toContain('hush');
  });
});
