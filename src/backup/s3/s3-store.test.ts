/** S3 when things go wrong: broken connections, errors, silence, bytes that change, keys that are refused, leases that run out. */
import { setTimeout as delay } from 'node:timers/promises';
import { utimesSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { type Asked, type Fault, TestS3 } from '../testing/s3-server.ts';
import { freePort } from '../../wal/testing/postgres.ts';
import { openRepository } from '../repository.ts';
import type { S3Store } from './s3-store.ts';

const NEVER = new AbortController().signal;
const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of cleanup.splice(0).toReversed()) await one();
});
const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no error', (error: unknown) => error);

/** The first `times` requests that `which` picks are spoilt. */
function spoil(s3: TestS3, fault: Fault, times: number, which: (asked: Asked) => boolean = () => true): { left: number } {
  const state = { left: times };
  s3.fault = (asked) => (state.left > 0 && which(asked) && state.left-- > 0 ? fault : null);
  return state;
}

async function upload(store: S3Store, files: Record<string, Buffer>, signal = NEVER): Promise<unknown[]> {
  const failures: unknown[] = [];
  const target = store.target('f/one/data', null, signal);
  await target.prepare();
  const tree = target.open(() => {}, (error) => void failures.push(error));
  for (const [path, bytes] of Object.entries(files)) {
    const sink = tree.file(path, bytes.length);
    sink.add(bytes);
    sink.end();
  }
  await tree.settled();
  return failures;
}

describe('what passes by', () => {
  it.each<[string, Fault]>([
    ['500', { kind: 'status', status: 500, code: 'InternalError' }],
    ['503', { kind: 'status', status: 503, code: 'SlowDown' }],
    ['a timeout of the server', { kind: 'status', status: 400, code: 'RequestTimeout' }],
    ['a broken connection', { kind: 'drop', done: false }],
    ['a lost answer', { kind: 'drop', done: true }],
    ['silence', { kind: 'silence' }],
  ])('%s is tried again', async (_name, fault) => {
    const s3 = await TestS3.start(cleanup);
    const store = s3.store({ limits: { silence: 100 } });
    await store.put('other', Buffer.from('x'));
    for (const work of [
      () => store.put('a', Buffer.from('one')), async () => expect((await store.get('a'))?.toString()).toBe('one'), async () => expect(await store.list('.')).toHaveLength(2),
      async () => expect(await store.stat('a')).toMatchObject({ size: 3 }), () => store.delete('a'),
    ]) {
      const state = spoil(s3, fault, 2);
      await work();
      expect(state.left).toBe(0);
    }
    const state = spoil(s3, fault, 2, ({ headers }) => headers['if-none-match'] !== undefined);
    expect(await store.create('b', Buffer.from('two'))).toBe(true);
    expect(state.left).toBe(0);
    expect((await store.get('b'))?.toString()).toBe('two');
  });

  it('a value that arrived otherwise than it was sent is sent again', async () => {
    const s3 = await TestS3.start(cleanup);
    spoil(s3, { kind: 'flip' }, 1);
    await s3.store().put('a', Buffer.from('one'));
    expect((await s3.store().get('a'))?.toString()).toBe('one');
    expect(s3.asked.filter(({ method }) => method === 'PUT')).toHaveLength(2);
  });

  it('a read goes on where the connection broke', async () => {
    const s3 = await TestS3.start(cleanup);
    const store = s3.store();
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
    await store.put('a', bytes);
    spoil(s3, { kind: 'cut', bytes: 100_000 }, 2, ({ method }) => method === 'GET');
    expect((await store.get('a'))?.equals(bytes)).toBe(true);
    expect(s3.asked.filter(({ method }) => method === 'GET').map(({ headers }) => headers['range'])).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]\d*-$/), expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
  });

  it('a read does not go on in another value', async () => {
    const s3 = await TestS3.start(cleanup);
    const store = s3.store();
    await store.put('a', Buffer.alloc(300_000, 'a'));
    s3.fault = ({ method, headers }) => {
      if (method !== 'GET' || headers['range'] !== undefined) return null;
      return { kind: 'cut', bytes: 100_000 };
    };
    const reading = store.read('a')[Symbol.asyncIterator]();
    await reading.next();
    await store.put('a', Buffer.alloc(300_000, 'b'));
    const rest = async (): Promise<void> => {
      while ((await reading.next()).done !== true);
    };
    expect(await errorOf(rest())).toMatchObject({ code: 'operation-failed', message: expect.stringContaining('became another') });
  });

  it('what does not pass is given up, and said', async () => {
    const s3 = await TestS3.start(cleanup);
    s3.fault = () => ({ kind: 'status', status: 503, code: 'SlowDown' });
    expect(await errorOf(s3.store().put('a', Buffer.from('x')))).toMatchObject({ code: 'host-unreachable', message: expect.stringContaining('503 SlowDown') });
    expect(s3.asked).toHaveLength(5);
  });

  it('a wait ends when the signal aborts, and clean-up still gets through', async () => {
    const s3 = await TestS3.start(cleanup);
    const stop = new AbortController();
    const store = s3.store({ signal: stop.signal, limits: { firstWait: 60_000, mostWait: 60_000 } });
    await store.put('a', Buffer.from('x'));
    s3.fault = ({ method }) => (method === 'PUT' ? { kind: 'status', status: 500, code: 'InternalError' } : null);
    const putting = errorOf(store.put('b', Buffer.from('x')));
    while (s3.asked.length < 2) await delay(5);
    stop.abort(new Error('ended'));
    expect(await putting).toMatchObject({ message: 'ended' });
    await store.delete('a');
    expect(s3.keys()).toEqual([]);
  });
});

describe('large values', () => {
  const limits = { part: 50_000 };
  const large = Buffer.alloc(170_000, 'large');

  it('go in parts, of which lost ones are sent again', async () => {
    const s3 = await TestS3.start(cleanup);
    const store = s3.store({ limits });
    const count = new Map<string, number>();
    s3.fault = ({ query }) => {
      const part = query['partNumber'];
      if (part === undefined) return null;
      count.set(part, (count.get(part) ?? 0) + 1);
      return count.get(part) === 1 ? (part === '1' ? { kind: 'drop', done: true } : part === '2' ? { kind: 'flip' } : { kind: 'status', status: 500, code: 'InternalError' }) : null;
    };
    expect(await upload(store, { large, small: Buffer.from('small') })).toEqual([]);
    expect([...count]).toEqual(expect.arrayContaining([['1', 2], ['2', 2], ['3', 2], ['4', 2]]));
    expect((await store.get('f/one/data/large'))?.equals(large)).toBe(true);
    expect(s3.uploads()).toEqual([]);
  });

  it('are whole when the answer to the last call was lost', async () => {
    const s3 = await TestS3.start(cleanup);
    const store = s3.store({ limits });
    spoil(s3, { kind: 'drop', done: true }, 1, ({ method, query }) => method === 'POST' && query['uploadId'] !== undefined);
    expect(await upload(store, { large })).toEqual([]);
    expect((await store.get('f/one/data/large'))?.equals(large)).toBe(true);
  });

  it('are not taken for whole on an answer of 200 that holds an error', async () => {
    const s3 = await TestS3.start(cleanup);
    const store = s3.store({ limits });
    s3.fault = ({ method, query }) => (method === 'POST' && query['uploadId'] !== undefined ? { kind: 'status', status: 200, code: 'InternalError' } : null);
    expect(await upload(store, { large })).toMatchObject([{ code: 'operation-failed', message: expect.stringContaining('not put together') }]);
    expect([await store.get('f/one/data/large'), s3.uploads()]).toEqual([null, []]);
  });

  it('leave no parts behind when they fail, also for good', async () => {
    const s3 = await TestS3.start(cleanup);
    const store = s3.store({ limits });
    s3.fault = ({ query }) => (query['partNumber'] === '3' ? { kind: 'status', status: 403, code: 'AccessDenied' } : null);
    expect(await upload(store, { large })).toMatchObject([{ code: 'permission' }]);
    expect(s3.uploads()).toEqual([]);
  });

  it('that a killed process left in parts are cleared with what they belong to, and no others', async () => {
    const s3 = await TestS3.start(cleanup);
    const store = s3.store({ limits });
    await store.begin('f/one');
    s3.fault = ({ method, query }) => (query['partNumber'] === '2' || method === 'DELETE' ? { kind: 'drop', done: false } : null);
    expect(await upload(store, { large })).toHaveLength(1);
    expect(s3.uploads()).toMatchObject([{ key: 'here/f/one/data/large' }]);
    s3.fault = () => null;
    await store.clear('g');
    expect(s3.uploads()).toHaveLength(1);
    await store.clear('f');
    expect([s3.uploads(), await store.folders('f')]).toEqual([[], []]);
  });

  it('take no more memory than the limits say', async () => {
    const s3 = await TestS3.start(cleanup);
    const store = s3.store({ limits });
    const target = store.target('f/one/data', null, NEVER);
    const tree = target.open(() => {}, () => {});
    expect(tree.limits.most).toBe(8 * limits.part);
    const sink = tree.file('large', large.length);
    sink.add(large);
    sink.end();
    expect(tree.backlog).toBeLessThan(large.length + 8 * 4096);
    await tree.settled();
    expect(tree.backlog).toBe(0);
  });
});

describe('what a person reads', () => {
  it.each([
    [403, 'InvalidAccessKeyId', '', 'permission', 'does not know the access key', 'AWS_ACCESS_KEY_ID'],
    [403, 'SignatureDoesNotMatch', '<StringToSign>AKIAS3CRET</StringToSign>', 'permission', 'the secret key does not belong', 'AWS_SECRET_ACCESS_KEY'],
    [403, 'RequestTimeTooSkewed', '', 'operation-failed', 'the clock of this machine', 'timedatectl'],
    [403, 'AccessDenied', '', 'permission', 's3://backups/here', 's3:PutObject'],
    [404, 'NoSuchBucket', '', 'no-such-backup', 'there is no bucket backups', 'makes no buckets'],
    [400, 'AuthorizationHeaderMalformed', '<Region>eu-west-1</Region>', 'usage', 'in eu-west-1', '--s3-region eu-west-1'],
    [301, 'PermanentRedirect', '', 'usage', 'not in region us-east-1', '--s3-region'],
    [507, 'XMinioStorageFull', '', 'volume-full', 'no room left', 'backup rm'],
    [400, 'EntityTooLarge', '', 'operation-failed', '400 EntityTooLarge', ''],
  ])('%d %s', async (status, code, body, ours, message, hint) => {
    const s3 = await TestS3.start(cleanup);
    s3.fault = () => ({ kind: 'status', status, code, body });
    const error = await errorOf(openRepository(s3.store(), { make: true })) as Error;
    expect(error).toMatchObject({ code: ours, message: expect.stringContaining(message), hint: expect.stringContaining(hint) });
    expect(JSON.stringify([error, error.message, (error as { hint?: string }).hint, error.cause])).not.toMatch(/S3RVER|AKIAS3CRET/);
    expect(s3.asked).toHaveLength(1);
  });

  it('a bucket that is not there, as the server says it', async () => {
    const s3 = await TestS3.start(cleanup);
    expect(await errorOf(openRepository(s3.store({ settings: { bucket: 'nothing' } })))).toMatchObject({ code: 'no-such-backup', message: expect.stringContaining('no bucket nothing') });
    expect(await errorOf(s3.store({ settings: { bucket: 'nothing' } }).list('.'))).toMatchObject({ code: 'no-such-backup' });
    expect(await errorOf(openRepository(s3.store({ settings: { accessKeyId: 'unknown' } })))).toMatchObject({ code: 'permission' });
  });

  it('nobody there', async () => {
    const s3 = await TestS3.start(cleanup);
    const settings = { endpoint: `http://127.0.0.1:${await freePort()}` };
    expect(await errorOf(s3.store({ settings }).get('a'))).toMatchObject({ code: 'host-unreachable', message: expect.stringContaining('nobody listens there'), hint: expect.stringContaining('--s3-endpoint') });
    expect(await errorOf(s3.store({ settings: { endpoint: 'http://nowhere.invalid' } }).get('a'))).toMatchObject({ code: 'host-unreachable', message: expect.stringContaining('name is not known') });
  });

  it('a prefix that holds other things', async () => {
    const s3 = await TestS3.start(cleanup);
    await s3.store().put('thesis.txt', Buffer.from('x'));
    expect(await errorOf(openRepository(s3.store(), { make: true }))).toMatchObject({ code: 'not-ours', message: expect.stringContaining('thesis.txt') });
    await openRepository(s3.store({ settings: { prefix: 'elsewhere' } }), { make: true });
    await openRepository(s3.store({ settings: { prefix: 'elsewhere' } }));
    expect(s3.keys()).toEqual(['elsewhere/pgorbit-backups.json', 'here/thesis.txt']);
  });

  it('temporary keys go with their token, which is signed', async () => {
    const s3 = await TestS3.start(cleanup);
    await s3.store({ settings: { sessionToken: 'token' } }).list('.');
    expect(s3.asked[0]!.headers).toMatchObject({ 'x-amz-security-token': 'token', 'authorization': expect.stringContaining('x-amz-security-token') });
  });
});

describe('the lease', () => {
  const lease = { lease: 60_000, held: 40_000, renew: 10, wait: 5 };

  it('is renewed, and another machine waits for its end', async () => {
    const s3 = await TestS3.start(cleanup);
    const held = await s3.store({ lease }).lock('s/lock', 'a backup');
    const puts = (): number => s3.asked.filter(({ method }) => method === 'PUT').length;
    const before = puts();
    while (puts() < before + 3) await delay(5);
    await held.release();
    expect(s3.keys()).toEqual([]);
  });

  it('of a machine that is gone is taken over when it has run out, by the clock of the server', async () => {
    const s3 = await TestS3.start(cleanup);
    const claim = { host: 'elsewhere', machine: null, what: 'a backup of shop', since: 'then' };
    await s3.store().put('s/lock/abc', Buffer.from(JSON.stringify(claim)));
    const file = s3.file('here/s/lock/abc');
    const age = (ms: number): void => utimesSync(file, new Date(Date.now() - ms), new Date(Date.now() - ms));
    age(50_000);
    expect(await errorOf(s3.store({ lease }).lock('s/lock', 'mine'))).toMatchObject({ code: 'locked', message: expect.stringContaining('a backup of shop is at work (on elsewhere'), hint: expect.stringContaining('60 s') });
    age(70_000);
    await (await s3.store({ lease }).lock('s/lock', 'mine')).release();
    expect(s3.keys()).toEqual([]);
  });

  it('is lost, to its holder too, when it cannot be renewed', async () => {
    const s3 = await TestS3.start(cleanup);
    const held = await s3.store({ lease: { lease: 60_000, held: 300, renew: 50 } }).lock('s/lock', 'a backup');
    s3.fault = () => ({ kind: 'silence' });
    while (!held.lost.aborted) await delay(5);
    expect(held.lost.reason).toMatchObject({ code: 'locked' });
    s3.fault = () => null;
    await held.release();
  });

  it('does not stand in the way of the process that could not give it up', async () => {
    const s3 = await TestS3.start(cleanup);
    const first = await s3.store({ lease }).lock('s/lock', 'a backup');
    s3.fault = ({ method }) => (method === 'DELETE' ? { kind: 'status', status: 503, code: 'SlowDown' } : null);
    await first.release();
    expect(s3.keys()).toHaveLength(1);
    s3.fault = () => null;
    const second = await s3.store({ lease }).lock('s/lock', 'another');
    expect(await errorOf(s3.store({ lease }).lock('s/lock', 'a third'))).toMatchObject({ code: 'locked', message: expect.stringContaining('another') });
    await second.release();
    expect(s3.keys()).toEqual([]);
  });

  it('of a damaged claim is still one', async () => {
    const s3 = await TestS3.start(cleanup);
    await s3.store().put('s/lock/abc', Buffer.from('{'));
    expect(await errorOf(s3.store({ lease }).lock('s/lock', 'mine'))).toMatchObject({ code: 'locked' });
  });
});
