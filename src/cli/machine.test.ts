import { expect, it } from 'vitest';
import { networkInterfaces } from 'node:os';
import { ownAddresses } from './machine.ts';

it('knows this machine by the addresses of its interfaces, loopback and names', async () => {
  const here = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((one) => one.address));
  // 192.0.2.0/24 is for documents (RFC 5737): nobody has it.
  const own = await ownAddresses([...here, '127.0.0.9', 'localhost', '192.0.2.1', 'no-such-name.invalid'], {});
  expect([...here, '127.0.0.9', 'localhost'].filter((address) => !own(address))).toEqual([]);
  expect([own('192.0.2.1'), own('no-such-name.invalid')]).toEqual([false, false]);
});

it('takes what PGORBIT_LOCAL_ADDRESSES says, and nothing else', async () => {
  const own = await ownAddresses(['127.0.0.1', '127.0.0.2', '192.0.2.1'], { PGORBIT_LOCAL_ADDRESSES: '127.0.0.1, 192.0.2.1' });
  expect(['127.0.0.1', '127.0.0.2', '192.0.2.1'].filter(own)).toEqual(['127.0.0.1', '192.0.2.1']);
});
