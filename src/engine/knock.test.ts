import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { knock } from './knock.ts';

const once = (port: number): Promise<string | null> => new Promise((resolve) => void knock('127.0.0.1', port, 5_000, resolve));

test('tells who listens from who does not, and says nothing any more once it is ended', async () => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  expect(await once(port)).toBe(null);
  const said: (string | null)[] = [];
  knock('127.0.0.1', port, 5_000, (failure) => said.push(failure))();
  expect(await once(port)).toBe(null);
  await new Promise((resolve) => server.close(resolve));
  expect(await once(port)).toMatch('ECONNREFUSED');
  expect(said).toEqual([]);
});
