/** An upstream that nobody listens at, one that answers, and the way from the one to the other. */
import { createServer, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Reach } from './reach.ts';

const reach = new Reach();
let server: Server | null = null;
afterEach(async () => {
  reach.stop();
  await new Promise<void>((resolve) => (server === null ? resolve() : server.close(() => resolve())));
  server = null;
});

const listen = (port: number): Promise<number> => new Promise((resolve, reject) => {
  server = createServer((socket) => socket.destroy()).on('error', reject).listen(port, '127.0.0.1', () => resolve((server!.address() as { port: number }).port));
});

test('says nothing of an upstream that answers, and names one that does not until it does', async () => {
  const port = await listen(0);
  const upstream = { member: 'n1', address: '127.0.0.1', port };
  let now = 0;
  const look = (): ReturnType<Reach['look']> => reach.look(upstream, (now += 1_000));
  expect(look()).toBe(null);
  await new Promise((resolve) => server!.once('connection', resolve));
  expect(look()).toBe(null);
  await new Promise((resolve) => server!.close(resolve));
  server = null;
  await expect.poll(look).toMatchObject({ code: 'host-unreachable', message: expect.stringMatching(`^n1 at 127.0.0.1:${port} can't be reached .*ECONNREFUSED`) });
  await listen(port);
  await expect.poll(look).toBe(null);
});

test('knocks once a second, and forgets one upstream with the next', async () => {
  const port = await listen(0);
  let knocks = 0;
  server!.on('connection', () => (knocks += 1));
  const upstream = { member: 'n1', address: '127.0.0.1', port };
  reach.look(upstream, 5_000);
  await expect.poll(() => knocks).toBe(1);
  for (let now = 5_001; now < 6_000; now += 100) reach.look(upstream, now);
  reach.look(upstream, 6_000);
  await expect.poll(() => knocks).toBe(2);
  await new Promise((resolve) => server!.close(resolve));
  server = null;
  let now = 7_000;
  await expect.poll(() => reach.look(upstream, (now += 1_000))).not.toBe(null);
  expect(reach.look({ ...upstream, member: 'n2', port: port === 1 ? 2 : 1 }, now)).toBe(null);
});
