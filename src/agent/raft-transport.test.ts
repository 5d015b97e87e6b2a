import { afterEach, expect, it } from 'vitest';
import { PgorbitError } from '../errors.ts';
import { RpcRaftTransport } from './raft-transport.ts';

const open: RpcRaftTransport[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((transport) => transport.stop()));
});

interface Net {
  transports: Map<string, RpcRaftTransport>;
  requests: number;
  cut: boolean;
}

/** Transports that reach each other as the RPC would bring them together. */
function network(hosts: string[]): Net {
  const net: Net = { transports: new Map(), requests: 0, cut: false };
  for (const self of hosts) {
    const clientOf = (host: string) => ({
      call: async (_name: string, request: unknown) => {
        net.requests += 1;
        if (net.cut) throw new PgorbitError('agent-unreachable', 'cut');
        const { messages } = request as { messages: unknown[] };
        return { messages: await net.transports.get(host)!.receive(self, JSON.parse(JSON.stringify(messages)) as unknown[]) };
      },
    });
    const transport = new RpcRaftTransport((host) => (hosts.includes(host) ? (clientOf(host) as never) : null), (error) => {
      throw error;
    });
    net.transports.set(self, transport);
    open.push(transport);
  }
  return net;
}

const settled = (): Promise<void> => new Promise((resolve) => {
  setTimeout(resolve, 20);
});

it('brings messages in order, and the response with the answer to the request', async () => {
  const net = network(['a', 'b']);
  const seen: unknown[] = [];
  const answers: unknown[] = [];
  net.transports.get('b')!.onMessage((from, message) => {
    seen.push([from, message]);
    net.transports.get('b')!.send('a', { re: message });
  });
  net.transports.get('a')!.onMessage((from, message) => answers.push([from, message]));
  net.transports.get('a')!.send('b', { n: 1 });
  net.transports.get('a')!.send('b', { n: 2 });
  await settled();
  expect(seen).toEqual([['a', { n: 1 }], ['a', { n: 2 }]]);
  expect(answers).toEqual([['b', { re: { n: 1 } }], ['b', { re: { n: 2 } }]]);
  // One from a for the first, one for what gathered meanwhile; none from b.
  expect(net.requests).toBeLessThanOrEqual(2);
});

it('loses what cannot be sent, and goes on when the peer is back', async () => {
  const net = network(['a', 'b']);
  const seen: unknown[] = [];
  net.transports.get('b')!.onMessage((_, message) => seen.push(message));
  net.cut = true;
  net.transports.get('a')!.send('b', { n: 1 });
  await settled();
  net.cut = false;
  net.transports.get('a')!.send('b', { n: 2 });
  await settled();
  expect(seen).toEqual([{ n: 2 }]);
});

it('drops what is for a host that it does not know', async () => {
  const net = network(['a']);
  net.transports.get('a')!.send('z', { n: 1 });
  await settled();
  expect(net.requests).toBe(0);
});
