import { X509Certificate } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { Agent, request as httpsRequest } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { connect as tlsConnect, createSecureContext, type TLSSocket } from 'node:tls';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { PgorbitError } from '../../errors.ts';
import { type Log, silentLog } from '../../observe/log.ts';
import { certifySite, type Identity } from '../identity/ca.ts';
import { makeKey, publicKeyOf } from '../identity/request.ts';
import { testCluster } from '../testing/identities.ts';
import { RpcClient } from './client.ts';
import { BODY_LIMIT } from './http.ts';
import { type Handlers, type RpcServer, startRpcServer } from './server.ts';
import { openStream } from './stream-upgrade.ts';

let h1: Identity;
let h2: Identity;
let admin: Identity;
let stranger: Identity;
let site: Identity;
beforeAll(async () => {
  const ours = await testCluster('ours');
  const theirs = await testCluster('theirs');
  h1 = await ours.host('h1');
  h2 = await ours.host('h2');
  admin = ours.admin;
  stranger = await theirs.host('h1');
  const key = makeKey();
  site = { ca: ours.authority.cert, cert: await certifySite(ours.authority, 'other', publicKeyOf(key)), key };
});

const ping = { cluster: 'c', clusterId: 'ours', host: 'h1', pid: 1, version: '0' };

async function serve(handlers: Handlers, options: { identity?: Identity; log?: Log; port?: number } = {}): Promise<RpcServer> {
  const server = await startRpcServer({ address: '127.0.0.1', port: options.port ?? 0, identity: options.identity ?? h1, handlers, log: options.log ?? silentLog() });
  onTestFinished(() => server.close());
  return server;
}

function client(port: number, identity: Identity = admin, host = 'h1'): RpcClient {
  const made = new RpcClient({ address: '127.0.0.1', port, host }, identity);
  onTestFinished(() => made.close());
  return made;
}

/** A promise and what resolves it. */
function deferred(): { promise: Promise<void>; resolve(): void } {
  const settle = new EventEmitter();
  return { promise: once(settle, 'done').then(() => undefined), resolve: () => void settle.emit('done') };
}

/** A handler that says when it began, and ends when its signal aborts. */
function longPoll(): { handlers: Handlers; began: Promise<void>; aborted: Promise<void> } {
  const began = deferred();
  const aborted = deferred();
  const handlers: Handlers = {
    'GET /v1/ping': (_request, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted.resolve();
          reject(new Error('the poll was aborted'));
        });
        began.resolve();
      }),
  };
  return { handlers, began: began.promise, aborted: aborted.promise };
}

it('answers GET with the query, POST with the body, and knows the caller', async () => {
  const callers: string[] = [];
  const { port } = await serve({
    'GET /v1/events': async ({ after, waitMs }, { caller }) => {
      callers.push(caller);
      return { events: [], sequence: Number(after) + Number(waitMs) };
    },
    'POST /v1/port': async ({ from, except }, { caller }) => {
      callers.push(caller);
      return { port: from + except.length };
    },
  });
  expect(await client(port).call('GET /v1/events', { after: '5', waitMs: '2' })).toEqual({ events: [], sequence: 7 });
  expect(await client(port, h2).call('POST /v1/port', { address: 'ü', from: 10, except: [1], exactly: false })).toEqual({ port: 11 });
  expect(callers).toEqual(['admin', 'h2']);
});

it('refuses a caller of another cluster, and one without a certificate', async () => {
  const { port } = await serve({ 'GET /v1/ping': async () => ping });
  await expect(client(port, { ...stranger, ca: h1.ca }).call('GET /v1/ping', {})).rejects.toMatchObject({ code: 'agent-unreachable' });
  const bare = await new Promise<string>((resolve) => {
    const call = httpsRequest({ host: '127.0.0.1', port, path: '/v1/ping', rejectUnauthorized: false, agent: false }, (response) => resolve(`status ${response.statusCode}`));
    call.on('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? error.message));
    call.end();
  });
  expect(bare).toMatch(/CERTIFICATE_REQUIRED|ECONNRESET/);
});

it('refuses an agent of another cluster, and one of another host', async () => {
  const theirs = await serve({ 'GET /v1/ping': async () => ping }, { identity: stranger });
  await expect(client(theirs.port).call('GET /v1/ping', {})).rejects.toMatchObject({ code: 'agent-unreachable', hint: expect.stringContaining('not of this cluster') });
  const other = await serve({ 'GET /v1/ping': async () => ping }, { identity: h2 });
  await expect(client(other.port).call('GET /v1/ping', {})).rejects.toMatchObject({ code: 'agent-unreachable', hint: expect.stringContaining('Another agent') });
});

it("does not take the CLI's certificate for an agent's", async () => {
  const { port } = await serve({ 'GET /v1/ping': async () => ping }, { identity: admin });
  await expect(client(port, h1, 'admin').call('GET /v1/ping', {})).rejects.toMatchObject({ code: 'agent-unreachable' });
});

it('keeps the connection, and resumes the session on a new one', async () => {
  const callers: string[] = [];
  const { port } = await serve({
    'GET /v1/ping': async (_request, { caller }) => {
      callers.push(caller);
      return ping;
    },
  });
  const get = (options: object): Promise<{ port: number | undefined; resumed: boolean }> =>
    new Promise((resolve, reject) => {
      const call = httpsRequest({ host: '127.0.0.1', port, path: '/v1/ping', ...h2, servername: 'h1', ...options }, (response) => {
        const socket = response.socket as TLSSocket;
        const seen = { port: socket.localPort, resumed: socket.isSessionReused() };
        response.resume().on('end', () => resolve(seen));
      });
      call.on('error', reject);
      call.end();
    });
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => agent.destroy());
  const first = await get({ agent });
  const second = await get({ agent });
  expect(second.port).toBe(first.port);
  const session = await new Promise<Buffer>((resolve, reject) => {
    const socket = tlsConnect({ host: '127.0.0.1', port, ...h2, servername: 'h1' });
    socket.on('error', reject);
    socket.once('session', (ticket: Buffer) => {
      socket.destroy();
      resolve(ticket);
    });
  });
  expect((await get({ session, agent: false })).resumed).toBe(true);
  // The certificate comes out of the session where none is sent.
  expect(callers).toEqual(['h2', 'h2', 'h2']);
});

it('passes on the error of a handler, with its code and hint', async () => {
  const { port } = await serve({
    'GET /v1/ping': async () => {
      throw new PgorbitError('remove-primary', 'n1 is the primary.', { hint: 'Switch over first.' });
    },
  });
  const failure = client(port).call('GET /v1/ping', {});
  await expect(failure).rejects.toBeInstanceOf(PgorbitError);
  await expect(failure).rejects.toMatchObject({ code: 'remove-primary', message: 'n1 is the primary.', hint: 'Switch over first.' });
});

it('answers an unforeseen error with "internal", logs it with its stack, and lives on', async () => {
  const logged: object[] = [];
  const log: Log = { ...silentLog(), error: (fields) => logged.push(fields), debug: () => {} };
  const { port } = await serve(
    {
      'GET /v1/ping': async () => {
        throw new TypeError('x is undefined');
      },
      'GET /v1/secrets': async () => ({ secrets: null }),
    },
    { log },
  );
  await expect(client(port).call('GET /v1/ping', {})).rejects.toMatchObject({ code: 'internal', message: 'x is undefined' });
  expect(logged).toEqual([{ err: expect.objectContaining({ stack: expect.stringContaining('rpc.test') }), call: 'GET /v1/ping', caller: 'admin' }]);
  expect(await client(port).call('GET /v1/secrets', {})).toEqual({ secrets: null });
});

it('refuses calls that it does not know, whatever they are called', async () => {
  const { port } = await serve({});
  await expect(client(port).call('GET /v1/status', {})).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('GET /v1/status') });
  await expect(client(port).call('GET constructor' as 'GET /v1/status', {})).rejects.toMatchObject({ code: expect.any(String) });
});

it('takes a large body, refuses one beyond the limit before it is sent, and lives on', async () => {
  const { port } = await serve({ 'POST /v1/port': async ({ address }) => ({ port: address.length }) });
  const asking = (address: string): Promise<{ port: number | null }> => calling.call('POST /v1/port', { address, from: 1, except: [], exactly: false });
  const calling = client(port);
  const large = 'x'.repeat(BODY_LIMIT - 1000);
  expect(await asking(large)).toEqual({ port: large.length });
  await expect(asking(`${large}${'x'.repeat(1000)}`)).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('larger') });
  expect(await asking('x')).toEqual({ port: 1 });
});

it('reads no more than the limit of a body that is sent all the same', async () => {
  const { port } = await serve({ 'GET /v1/ping': async () => ping, 'POST /v1/operate': async () => ({ id: 'never' }) });
  const outcome = await new Promise<string>((resolve) => {
    const call = httpsRequest({ host: '127.0.0.1', port, path: '/v1/operate', method: 'POST', ...admin, servername: 'h1', agent: false }, (response) => {
      response.on('error', () => {}).resume();
      resolve(`status ${response.statusCode}`);
    });
    // The connection is cut while the body still comes, which may overtake the answer.
    call.on('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? error.message));
    call.end('x'.repeat(3 * BODY_LIMIT));
  });
  expect(outcome).toMatch(/status 400|ECONNRESET|EPIPE/);
  expect(await client(port).call('GET /v1/ping', {})).toEqual(ping);
});

it('gives back a large answer whole', async () => {
  const text = 'é'.repeat(3_000_000);
  const { port } = await serve({ 'GET /v1/logs': async () => ({ text, offset: 1 }) });
  expect((await client(port).call('GET /v1/logs', { group: 'g', member: 'm', offset: '0', lines: '1' })).text).toBe(text);
});

it('refuses a body that is no JSON object', async () => {
  const { port } = await serve({ 'POST /v1/operate': async () => ({ id: 'never' }) });
  const statuses: (number | undefined)[] = [];
  for (const body of ['{"kind":', '[1]', 'null', '"text"']) {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const call = httpsRequest({ host: '127.0.0.1', port, path: '/v1/operate', method: 'POST', ...admin, servername: 'h1', agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      call.on('error', reject);
      call.end(body);
    });
    statuses.push(status);
  }
  expect(statuses).toEqual([400, 400, 400, 400]);
});

it('lives on after connections that speak no TLS, or stop in the middle', async () => {
  const { port } = await serve({ 'GET /v1/ping': async () => ping, 'POST /v1/operate': async () => ({ id: 'never' }) });
  for (const text of ['GET / HTTP/1.1\r\n\r\n', '']) {
    await new Promise<void>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.end(text));
      socket.on('error', () => {});
      socket.resume();
      socket.on('close', () => resolve());
    });
  }
  await new Promise<void>((resolve) => {
    const socket = tlsConnect({ host: '127.0.0.1', port, ...admin, servername: 'h1' }, () => {
      socket.write('POST /v1/operate HTTP/1.1\r\nhost: h1\r\ncontent-length: 100\r\n\r\n{"half', () => socket.destroy());
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve());
  });
  expect(await client(port).call('GET /v1/ping', {})).toEqual(ping);
});

it('aborts a long poll when its caller goes', async () => {
  const poll = longPoll();
  const { port } = await serve(poll.handlers);
  const caller = new AbortController();
  const calling = client(port).call('GET /v1/ping', {}, { signal: caller.signal });
  await poll.began;
  caller.abort(new Error('enough'));
  await expect(calling).rejects.toThrow('enough');
  await poll.aborted;
});

it('aborts long polls when it closes, and tells their callers', async () => {
  const poll = longPoll();
  const server = await serve(poll.handlers);
  const calling = client(server.port).call('GET /v1/ping', {});
  calling.catch(() => undefined);
  await poll.began;
  await server.close();
  await expect(calling).rejects.toMatchObject({ code: 'agent-unreachable', message: 'The agent is stopping.' });
});

it('closes in spite of connections that are idle or never finished their handshake', async () => {
  const server = await serve({ 'GET /v1/ping': async () => ping });
  await client(server.port).call('GET /v1/ping', {});
  const closed = deferred();
  await new Promise<void>((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1', () => resolve());
    socket.on('error', reject);
    socket.on('close', () => closed.resolve());
    socket.resume();
  });
  await server.close();
  await closed.promise;
  await expect(client(server.port).call('GET /v1/ping', {})).rejects.toMatchObject({ code: 'agent-unreachable' });
});

it('gives up after its time, and says that it may still happen', async () => {
  const poll = longPoll();
  const { port } = await serve(poll.handlers);
  await expect(client(port).call('GET /v1/ping', {}, { timeoutMs: 30 })).rejects.toMatchObject({ code: 'timed-out', exitCode: 4 });
});

it('gives up on a connection that nobody takes up, and on no other', async () => {
  const mute = createTcpServer(() => undefined).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  onTestFinished(() => void mute.close());
  await expect(client((mute.address() as AddressInfo).port).call('GET /v1/ping', {}, { connectMs: 50 })).rejects.toMatchObject({ code: 'agent-unreachable', message: expect.stringContaining('no connection within 0.05 s') });
  const { port } = await serve({ 'GET /v1/ping': async () => {
    await new Promise((resolve) => {
      setTimeout(resolve, 1_500);
    });
    return ping;
  } });
  await expect(client(port).call('GET /v1/ping', {}, { connectMs: 1_000 })).resolves.toEqual(ping);
});

it('says where nobody listens', async () => {
  const { port, close } = await serve({});
  await close();
  await expect(client(port).call('GET /v1/ping', {})).rejects.toMatchObject({
    code: 'agent-unreachable',
    message: expect.stringContaining(`127.0.0.1:${port}`),
    hint: expect.stringContaining('h1'),
  });
});

it('reaches a restarted agent over a client that had a connection to the old one', async () => {
  const first = await serve({ 'GET /v1/ping': async () => ping });
  const calling = client(first.port);
  await calling.call('GET /v1/ping', {});
  await first.close();
  await serve({ 'GET /v1/ping': async () => ({ ...ping, pid: 2 }) }, { port: first.port });
  expect((await calling.call('GET /v1/ping', {})).pid).toBe(2);
});

it('ends running calls when the client is closed', async () => {
  const poll = longPoll();
  const { port } = await serve(poll.handlers);
  const calling = client(port);
  const running = calling.call('GET /v1/ping', {});
  running.catch(() => undefined);
  await poll.began;
  calling.close();
  await expect(running).rejects.toMatchObject({ code: 'agent-unreachable' });
});

it('says when its port is taken or its address is not here', async () => {
  const taken = createTcpServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => taken.close(() => resolve())));
  const { port } = taken.address() as AddressInfo;
  const start = (address: string): Promise<RpcServer> => startRpcServer({ address, port, identity: h1, handlers: {}, log: silentLog() });
  await expect(start('127.0.0.1')).rejects.toMatchObject({ code: 'port-in-use', message: expect.stringContaining(String(port)) });
  await expect(start('192.0.2.1')).rejects.toMatchObject({ code: 'host-unreachable' });
});

it('lets a guest ask for nothing but to be let in', async () => {
  const callers: string[] = [];
  const { port } = await serve({
    'GET /v1/ping': async () => ping,
    'GET /v1/ca': async (_request, { caller }) => {
      callers.push(caller);
      return { ca: h1.ca };
    },
  });
  const get = (path: string, options: object = {}): Promise<string> =>
    new Promise((resolve) => {
      const call = httpsRequest({ host: '127.0.0.1', port, path, rejectUnauthorized: false, agent: false, ...options }, (response) => {
        response.resume();
        resolve(`status ${response.statusCode}`);
      });
      call.on('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? error.message));
      call.end();
    });
  expect(await get('/v1/ca')).toBe('status 200');
  expect(callers).toEqual(['']);
  expect(await get('/v1/ping')).toBe('ECONNRESET');
  // A certificate of somebody else's is worse than none, even if it bears a host's name.
  expect(await get('/v1/ca', { cert: stranger.cert, key: stranger.key })).toBe('ECONNRESET');
});

it('does not let a stranger in by the session of an earlier connection', async () => {
  const { port } = await serve({ 'GET /v1/ping': async () => ping });
  const session = await new Promise<Buffer | null>((resolve) => {
    const socket = tlsConnect({ host: '127.0.0.1', port, cert: stranger.cert, key: stranger.key, rejectUnauthorized: false });
    socket.on('error', () => {});
    socket.once('session', (ticket: Buffer) => resolve(ticket));
    socket.once('close', () => resolve(null));
  });
  const outcome = await new Promise<string>((resolve) => {
    const call = httpsRequest({ host: '127.0.0.1', port, path: '/v1/ping', rejectUnauthorized: false, agent: false, cert: stranger.cert, key: stranger.key, ...(session === null ? {} : { session }) }, (response) => {
      response.resume();
      resolve(`status ${response.statusCode}`);
    });
    call.on('error', () => resolve('refused'));
    call.end();
  });
  expect(outcome).toBe('refused');
});

it('shows a new certificate from the next connection on, without a restart', async () => {
  const ours = await testCluster('renewed');
  const before = await ours.host('h1');
  const after = await ours.host('h1');
  const server = await serve({ 'GET /v1/ping': async () => ping }, { identity: before });
  const shown = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = tlsConnect({ host: '127.0.0.1', port: server.port, ...ours.admin, servername: 'h1' }, () => {
        resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? '');
        socket.destroy();
      });
      socket.on('error', reject);
    });
  expect(await shown()).toBe(new X509Certificate(before.cert).fingerprint256);
  server.setIdentity(after);
  expect(await shown()).toBe(new X509Certificate(after.cert).fingerprint256);
  const caller = client(server.port, ours.admin);
  await caller.call('GET /v1/ping', {});
  caller.setIdentity(await ours.host('h2'));
  expect(await caller.call('GET /v1/ping', {})).toEqual(ping);
});

it('lets another site make the calls between sites, and no others', async () => {
  const seen: string[] = [];
  const handlers: Handlers = {
    'GET /v1/site': async (_request, { caller }) => {
      seen.push(caller);
      return { cluster: 'c', clusterId: 'ours', site: null, agents: [], addresses: [], ca: '', groups: {} };
    },
    'GET /v1/secrets': async () => {
      seen.push('secrets');
      return { secrets: null };
    },
    'POST /v1/site/promote': async () => {
      seen.push('promote');
      return { epoch: 1, points: {} };
    },
  };
  const { port } = await serve(handlers);
  const other = client(port, site);
  expect(await other.call('GET /v1/site', { from: 'x' })).toMatchObject({ clusterId: 'ours' });
  await expect(other.call('GET /v1/secrets', {})).rejects.toMatchObject({ code: 'permission' });
  await expect(other.call('POST /v1/site/promote', { force: true })).rejects.toMatchObject({ code: 'permission' });
  expect(seen).toEqual(['site:other']);
});

it('takes no stream of another site: over it goes the consensus', async () => {
  const taken: string[] = [];
  const server = await startRpcServer({
    address: '127.0.0.1', port: 0, identity: h1, handlers: {}, log: silentLog(),
    accept: (caller) => {
      taken.push(caller);
      return 'not now';
    },
  });
  onTestFinished(() => server.close());
  const open = (identity: Identity): Promise<unknown> => openStream({ address: '127.0.0.1', port: server.port, host: 'h1' }, createSecureContext({ ...identity, minVersion: 'TLSv1.3' }), AbortSignal.timeout(5_000));
  await expect(open(site)).rejects.toThrow(/404/);
  await expect(open(h2)).rejects.toThrow(/403/);
  expect(taken).toEqual(['h2']);
});
