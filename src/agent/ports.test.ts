import { type AddressInfo, createServer, type Server } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { findPort } from './ports.ts';

async function listener(address: string, port = 0): Promise<number> {
  const server: Server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, resolve);
  });
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return (server.address() as AddressInfo).port;
}

const wish = { address: '127.0.0.1', except: [], exactly: false };

it('finds a port that can be bound, and leaves it free', async () => {
  const port = await findPort({ ...wish, from: 20_000 });
  expect(port).toBeGreaterThanOrEqual(20_000);
  expect(await listener('127.0.0.1', port!)).toBe(port);
});

it('passes over a port that is taken', async () => {
  const taken = await listener('127.0.0.1');
  expect(await findPort({ ...wish, from: taken })).toBeGreaterThan(taken);
  expect(await findPort({ ...wish, from: taken, exactly: true })).toBeNull();
});

it('passes over a port that is taken on all addresses', async () => {
  const taken = await listener('0.0.0.0');
  expect(await findPort({ ...wish, from: taken, exactly: true })).toBeNull();
});

it('takes a port that is taken on another address only', async () => {
  const taken = await listener('127.0.0.2');
  expect(await findPort({ ...wish, from: taken, exactly: true })).toBe(taken);
});

it('leaves out what is promised', async () => {
  const first = await findPort({ ...wish, from: 21_000 });
  expect(await findPort({ ...wish, from: first!, except: [first!] })).toBeGreaterThan(first!);
  expect(await findPort({ ...wish, from: first!, except: [first!], exactly: true })).toBeNull();
});

it('finds none above the last port', async () => {
  expect(await findPort({ ...wish, from: 65_535, except: [65_535] })).toBeNull();
});

it('refuses an address of another machine', async () => {
  await expect(findPort({ ...wish, address: '192.0.2.1', from: 20_000 })).rejects.toMatchObject({ code: 'host-unreachable' });
});
