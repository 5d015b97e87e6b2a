import { EventEmitter, once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { connect as tcpConnect, createServer, type AddressInfo, type Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { type Log, silentLog } from '../../observe/log.ts';
import type { Identity } from '../identity/ca.ts';
import type { ReportRequest } from '../reporter.ts';
import { testCluster } from '../testing/identities.ts';
import { startRpcServer, type RpcServer } from './server.ts';
import { frameOf } from './stream-frames.ts';
import { openStream, STREAM_PATH, STREAM_PROTOCOL } from './stream-upgrade.ts';
import { AgentStreams } from './streams.ts';

let identities: Record<string, Identity>;
let admin: Identity;
let stranger: Identity;
beforeAll(async () => {
  const ours = await testCluster('ours');
  identities = { h1: await ours.host('h1'), h2: await ours.host('h2'), h3: await ours.host('h3') };
  admin = ours.admin;
  stranger = await (await testCluster('theirs')).host('h1');
});

/** A TCP relay in front of an agent, which loses, cuts and counts. */
interface Relay {
  port: number;
  to: number;
  connections: number;
  /** Bytes from the agent that is called are read and thrown away, and the other way round. */
  mute: { back: boolean; forth: boolean };
  /** Cuts every connection once it has passed this many more bytes forth. */
  cutAfter: number;
  cut(): void;
}

async function relay(to: number): Promise<Relay> {
  const pairs = new Set<[Socket, Socket]>();
  const server = createServer((near) => {
    made.connections += 1;
    const far = tcpConnect(made.to, '127.0.0.1');
    const pair: [Socket, Socket] = [near, far];
    pairs.add(pair);
    const end = (): void => {
      for (const socket of pair) socket.destroy();
      pairs.delete(pair);
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    near.on('data', (chunk) => {
      if (made.mute.forth) return;
      far.write(chunk.subarray(0, made.cutAfter));
      made.cutAfter -= chunk.length;
      if (made.cutAfter <= 0) {
        made.cutAfter = Infinity;
        far.end();
        near.destroy();
      }
    });
    far.on('data', (chunk) => {
      if (!made.mute.back) near.write(chunk);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const made: Relay = {
    port: (server.address() as AddressInfo).port, to, connections: 0, mute: { back: false, forth: false }, cutAfter: Infinity,
    cut: () => {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
    },
  };
  onTestFinished(() => {
    made.cut();
    server.close();
  });
  return made;
}

interface Node {
  streams: AgentStreams;
  server: RpcServer;
  received: { from: string; message: unknown }[];
  reports: ReportRequest[];
  answers: [number, boolean][];
  leads: boolean;
  /** Something leaves for the peer. */
  leaving: (peer: string) => void;
  told: EventEmitter;
  /** What was logged. */
  log: { fields: Record<string, unknown>; message: string }[];
  stop(): Promise<void>;
}

/** An agent's streams and its server. @param peers ports by host @param now the clock, for those that are to be dead quickly */
async function node(self: string, peers: Record<string, number>, options: { port?: number; now?: () => number } = {}): Promise<Node> {
  const lines: Node['log'] = [];
  const note = (fields: object, message: string): void => void lines.push({ fields: fields as Record<string, unknown>, message });
  const log: Log = { ...silentLog(), debug: note, info: note, warn: note, error: note, child: () => log };
  const streams = new AgentStreams({
    self, identity: identities[self]!, log, now: options.now ?? (() => performance.now()),
    peers: Object.entries(peers).map(([host, port]) => ({ host, address: '127.0.0.1', port })),
  });
  const made: Node = {
    streams, received: [], reports: [], answers: [], leads: true, leaving: () => undefined, told: new EventEmitter(), log: lines,
    server: await startRpcServer({ address: '127.0.0.1', port: options.port ?? 0, identity: identities[self]!, handlers: {}, accept: (caller, upgraded) => streams.accept(caller, upgraded), log }),
    stop: async () => {
      await streams.stop();
      await made.server.close();
    },
  };
  streams.onMessage((from, message) => made.received.push({ from, message }));
  streams.handle({
    report: (request) => {
      made.reports.push(request);
      return made.leads;
    },
    reportAnswered: (id, known) => made.answers.push([id, known]),
    status: () => undefined,
    connected: () => undefined,
    leaving: (peer) => made.leaving(peer),
  });
  onTestFinished(() => made.stop());
  return made;
}

/** h1, which opens, and h2, with a relay between them. */
async function agents(options: { now?: () => number } = {}): Promise<{ h1: Node; h2: Node; between: Relay }> {
  const h2 = await node('h2', { h1: 1 }, options);
  const between = await relay(h2.server.port);
  const h1 = await node('h1', { h2: between.port }, options);
  h1.streams.start();
  h2.streams.start();
  return { h1, h2, between };
}

const until = (what: () => void): Promise<void> => vi.waitFor(what, { timeout: 10_000, interval: 5 });
const both = (...nodes: Node[]): Promise<void> => until(() => nodes.forEach(({ streams }) => expect(streams.connected()).toHaveLength(1)));
const messages = ({ received }: Node): unknown[] => received.map(({ message }) => message);
const reasons = ({ log }: Node): unknown[] => log.flatMap(({ fields }) => fields['why'] ?? []);

it('brings messages both ways over one connection, in order, also those from before it was there', async () => {
  const { h1, h2, between } = await agents();
  for (const n of [1, 2, 3]) h1.streams.send('h2', { n });
  h2.streams.send('h1', { n: 'back' });
  await until(() => {
    expect(h2.received).toEqual([1, 2, 3].map((n) => ({ from: 'h1', message: { n } })));
    expect(h1.received).toEqual([{ from: 'h2', message: { n: 'back' } }]);
  });
  const large = 'ü'.repeat(3_000_000);
  h1.streams.send('h2', { large });
  h1.streams.send('h2', { n: 4 });
  await until(() => expect(messages(h2).slice(3)).toEqual([{ large }, { n: 4 }]));
  expect(between.connections).toBe(1);
});

it('drops what is for a host that it does not know', async () => {
  const { h1, h2 } = await agents();
  h1.streams.send('h9', { n: 0 });
  h1.streams.report('h9', 1, { host: 'h1', pid: 1, started: 1, number: 1, reports: [] });
  h1.streams.send('h2', { n: 1 });
  await until(() => expect(messages(h2)).toEqual([{ n: 1 }]));
  expect(h2.reports).toEqual([]);
});

it('brings reports and the answers to them, and only the newest of those that wait', async () => {
  const { h1, h2 } = await agents();
  const report = (pid: number): ReportRequest => ({ host: 'h2', pid, started: 1, number: 1, reports: [] });
  h2.streams.report('h1', 1, report(1));
  h2.streams.report('h1', 2, report(2));
  await until(() => expect(h2.answers).toEqual([[2, true]]));
  expect(h1.reports).toEqual([report(2)]);
  h1.leads = false;
  h2.streams.report('h1', 3, report(3));
  await until(() => expect(h2.answers.at(-1)).toEqual([3, false]));
});

it('answers a report that came along with something else along with something else', async () => {
  const { h1, h2 } = await agents();
  await both(h1, h2);
  const report: ReportRequest = { host: 'h2', pid: 1, started: 1, number: 1, reports: [] };
  h2.leaving = (peer) => h2.streams.report(peer, 1, report);
  h2.streams.send('h1', { n: 1 });
  await until(() => expect(h1.received).toHaveLength(1));
  expect(h1.reports).toEqual([report]);
  h2.leaving = () => undefined;
  await new Promise((resolve) => {
    setTimeout(resolve, 50);
  });
  expect(h2.answers).toEqual([]);
  h1.streams.send('h2', { n: 2 });
  await until(() => expect(h2.received).toHaveLength(1));
  expect(h2.answers).toEqual([[1, true]]);
});

it('is there again when the connection was cut in the middle of a frame, and keeps nothing of the torn frame', async () => {
  const { h1, h2, between } = await agents();
  await both(h1, h2);
  between.cutAfter = 100_000;
  h1.streams.send('h2', { torn: 'x'.repeat(1_000_000) });
  await until(() => expect(between.connections).toBe(2));
  await both(h1, h2);
  h1.streams.send('h2', { n: 1 });
  await until(() => expect(messages(h2)).toEqual([{ n: 1 }]));
});

it('drops a connection on which nothing comes back, and another is opened', async () => {
  let skipped = 0;
  const { h1, h2, between } = await agents({ now: () => performance.now() + skipped });
  await both(h1, h2);
  h2.streams.send('h1', {});
  await until(() => expect(h1.received).toHaveLength(1));
  between.mute.back = true;
  // As much time as a check may miss at a time without taking this process for one that stood still.
  const skipping = setInterval(() => {
    skipped += 400;
  }, 500);
  onTestFinished(() => clearInterval(skipping));
  await until(() => expect(reasons(h1)).toContain('nothing came from it for 3 s'));
  between.mute.back = false;
  await until(() => expect(between.connections).toBeGreaterThan(1));
  await until(() => {
    h2.streams.send('h1', { again: true });
    expect(messages(h1)).toContainEqual({ again: true });
  });
}, 20_000);

it('does not take a peer for dead because it stood still itself', async () => {
  let skipped = 0;
  const { h1, h2, between } = await agents({ now: () => performance.now() + skipped });
  await both(h1, h2);
  skipped = 60_000;
  await new Promise((resolve) => {
    setTimeout(resolve, 700);
  });
  h1.streams.send('h2', { n: 1 });
  await until(() => expect(messages(h2)).toEqual([{ n: 1 }]));
  expect(between.connections).toBe(1);
});

it('says that it is alive when there is nothing else to say', async () => {
  let skipped = 0;
  const { h1, h2, between } = await agents({ now: () => performance.now() + skipped });
  await both(h1, h2);
  for (let step = 0; step < 6; step += 1) {
    skipped += 900;
    await new Promise((resolve) => {
      setTimeout(resolve, 520);
    });
  }
  expect(between.connections).toBe(1);
  expect([...reasons(h1), ...reasons(h2)]).toEqual([]);
}, 20_000);

it('finds a peer again that was started anew on its port, and one that comes late', async () => {
  const { h1, h2, between } = await agents();
  await both(h1, h2);
  await h2.stop();
  await until(() => expect(h1.streams.connected()).toEqual([]));
  const again = await node('h2', { h1: 1 });
  between.to = again.server.port;
  again.streams.start();
  again.streams.send('h1', { n: 1 });
  await until(() => expect(messages(h1)).toEqual([{ n: 1 }]));
});

it('calls an agent that joins, and leaves one that left', async () => {
  const h2 = await node('h2', {});
  const h1 = await node('h1', {});
  h1.streams.start();
  h2.streams.start();
  const at = (host: string, port: number) => ({ host, address: '127.0.0.1', port });
  h2.streams.setPeers([at('h1', 1), at('h2', 2)]);
  h1.streams.setPeers([at('h1', 1), at('h2', h2.server.port)]);
  await both(h1, h2);
  h1.streams.setPeers([at('h1', 1), at('h2', h2.server.port)]);
  expect(h1.streams.connected()).toEqual(['h2']);
  h1.streams.setPeers([]);
  await until(() => expect([h1.streams.connected(), h2.streams.connected()]).toEqual([[], []]));
  h1.streams.send('h2', { n: 1 });
  expect(h1.log.filter(({ message }) => message.startsWith('there is a stream'))).toHaveLength(1);
});

it('takes the newer of two connections of a peer', async () => {
  const h2 = await node('h2', { h1: 1 });
  const context = createSecureContext({ ...identities['h1']!, minVersion: 'TLSv1.3' });
  const open = async (): Promise<Socket> => {
    const { socket } = await openStream({ host: 'h2', address: '127.0.0.1', port: h2.server.port }, context, new AbortController().signal);
    onTestFinished(() => void socket.destroy());
    return socket;
  };
  const first = await open();
  const closed = once(first.resume(), 'close');
  const second = await open();
  await closed;
  const told = once(second, 'data');
  h2.streams.send('h1', { n: 1 });
  expect(((await told) as [Buffer])[0].toString()).toContain('{"n":1}');
});

it.each([
  ['a frame beyond the limit', Buffer.from([0xff, 0xff, 0xff, 0xff]), /larger/],
  ['no JSON', Buffer.from([0, 0, 0, 1, 0x7b]), /no JSON/],
  ['no list', Buffer.concat([Buffer.from([0, 0, 0, 2]), Buffer.from('{}')]), /no list/],
  ['an unknown kind', frameOf(['{"kind":"other"}']), /unknown kind "other"/],
  ['a raft item without a message', frameOf(['{"kind":"raft","message":1}']), /without a message/],
  ["another host's report", frameOf(['{"kind":"report","id":1,"request":{"host":"h3","pid":1,"started":1,"number":1,"reports":[]}}']), /report of host h3/],
  ['a report of nothing', frameOf(['{"kind":"report","id":1,"request":{"host":"h1","pid":1,"started":1,"number":1,"reports":[null]}}']), /another shape/],
])('ends a connection on which %s comes, and says why', async (_what, bytes, why) => {
  const h2 = await node('h2', { h1: 1 });
  const context = createSecureContext({ ...identities['h1']!, minVersion: 'TLSv1.3' });
  const { socket } = await openStream({ host: 'h2', address: '127.0.0.1', port: h2.server.port }, context, new AbortController().signal);
  socket.on('error', () => undefined);
  const closed = once(socket.resume(), 'close');
  socket.write(bytes);
  await closed;
  await until(() => expect(reasons(h2)).toEqual([expect.stringMatching(why)]));
  expect(h2.streams.connected()).toEqual([]);
  expect([h2.reports, h2.received]).toEqual([[], []]);
});

it('goes on when what a message brings about fails', async () => {
  const { h1, h2, between } = await agents();
  h2.streams.onMessage((from, message) => {
    if ((message as { n: number }).n === 1) throw new Error('a defect');
    h2.received.push({ from, message });
  });
  h1.streams.send('h2', { n: 1 });
  h1.streams.send('h2', { n: 2 });
  await until(() => expect(messages(h2)).toEqual([{ n: 2 }]));
  expect(between.connections).toBe(1);
});

it('takes streams of other agents of the cluster only', async () => {
  const h2 = await node('h2', { h1: 1 });
  const target = { host: 'h2', address: '127.0.0.1', port: h2.server.port };
  const opened = (identity: Identity): Promise<unknown> => openStream(target, createSecureContext({ ...identity, minVersion: 'TLSv1.3' }), new AbortController().signal).then(({ socket }) => {
    socket.destroy();
    return 'opened';
  });
  await expect(opened(admin)).rejects.toThrow('status 403');
  await expect(opened(identities['h2']!)).rejects.toThrow('status 403');
  await expect(opened({ ...stranger, ca: identities['h1']!.ca })).rejects.toThrow(/hang up|ECONNRESET|alert/);
  await expect(opened(identities['h1']!)).resolves.toBe('opened');
  // It may have joined while this agent was away.
  await expect(opened(identities['h3']!)).resolves.toBe('opened');
  await expect(openStream({ ...target, host: 'h3' }, createSecureContext({ ...identities['h1']! }), new AbortController().signal)).rejects.toThrow(/h3/);
});

it('hears an agent that it does not know, and that has to open the stream because of it', async () => {
  const h1 = await node('h1', {});
  const h2 = await node('h2', { h1: h1.server.port });
  h1.streams.start();
  h2.streams.start();
  await both(h1, h2);
  h2.streams.send('h1', { n: 1 });
  h1.streams.send('h2', { n: 2 });
  await until(() => expect([messages(h1), messages(h2)]).toEqual([[{ n: 1 }], [{ n: 2 }]]));
});

it('refuses other upgrades', async () => {
  const h2 = await node('h2', { h1: 1 });
  const status = (path: string, upgrade: string): Promise<number | undefined> => new Promise((resolve, reject) => {
    const call = httpsRequest({
      host: '127.0.0.1', port: h2.server.port, path, ...identities['h1']!, servername: 'h2', agent: false, headers: { connection: 'Upgrade', upgrade },
    }, (response) => resolve(response.resume().statusCode));
    call.on('error', reject);
    call.end();
  });
  expect(await status('/v1/ping', STREAM_PROTOCOL)).toBe(404);
  expect(await status(STREAM_PATH, 'websocket')).toBe(404);
});
