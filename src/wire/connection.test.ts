import { type AddressInfo, type Server, connect, createServer } from 'node:net';
import { generate } from 'selfsigned';
import { afterEach, describe, expect, it } from 'vitest';
import { commandComplete, dataRow, readyForQuery, rowDescription } from './backend.ts';
import { ReplicationClient, UpstreamError } from './client.ts';
import { copyData, copyDone, sslRequest } from './frontend.ts';
import { sleep } from '../lifecycle.ts';
import { makeVerifier } from './scram.ts';
import { ClientError, ServerConnection, type ServerAuth } from './server.ts';

const servers: Server[] = [];
const connections: ServerConnection[] = [];
afterEach(() => {
  for (const connection of connections.splice(0)) connection.destroy();
  for (const server of servers.splice(0)) server.close();
});

/** Lets clients in and answers every query with one row: the user's name. Resolves to the port. */
async function serve(auth: ServerAuth): Promise<number> {
  const server = createServer((socket) => {
    const connection = new ServerConnection(socket);
    connections.push(connection);
    void answer(connection, auth);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function answer(connection: ServerConnection, auth: ServerAuth): Promise<void> {
  try {
    const parameters = await connection.handshake(auth);
    if (parameters === null) return;
    await connection.welcome({ server_version: '18.4' });
    while ((await connection.next())?.type === 'Q') {
      await connection.write(Buffer.concat([rowDescription([{ name: 'user', type: 25 }]), dataRow([parameters.get('user')!]), commandComplete('SHOW'), readyForQuery()]));
    }
  } catch (error) {
    if (error instanceof ClientError) await connection.write(error.response('FATAL'));
  }
  connection.end();
}

const open = (port: number, more: Partial<Parameters<typeof ReplicationClient.connect>[0]> = {}): Promise<ReplicationClient> =>
  ReplicationClient.connect({ host: '127.0.0.1', port, user: 'ann', applicationName: 'test', timeoutMs: 5000, ...more });

async function whoAmI(client: ReplicationClient): Promise<unknown> {
  const rows = await client.command('SHOW user');
  client.end();
  return rows;
}

const users = new Map([['ann', makeVerifier('s3cret')]]);
const pems = await generate([{ name: 'commonName', value: 'localhost' }], { algorithm: 'sha256', extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }] });
const tls = { key: pems.private, cert: pems.cert };

describe('a connection', () => {
  it('is opened without a password where everybody is trusted', async () => {
    const client = await open(await serve({ users: null }));
    expect(client.parameters.get('server_version')).toBe('18.4');
    expect(await whoAmI(client)).toEqual({ kind: 'rows', rows: [['ann']] });
  });

  it('needs the password where there is one', async () => {
    const port = await serve({ users });
    expect(await whoAmI(await open(port, { password: 's3cret' }))).toEqual({ kind: 'rows', rows: [['ann']] });
    await expect(open(port, { password: 'wrong' })).rejects.toThrow(UpstreamError);
    await expect(open(port)).rejects.toThrow(/asks ann for a password/);
  });

  it('is encrypted when asked for, with a certificate that is checked', async () => {
    const port = await serve({ users, tls, requireTls: true });
    expect(await whoAmI(await open(port, { password: 's3cret', tls: { ca: pems.cert } }))).toEqual({ kind: 'rows', rows: [['ann']] });
    await expect(open(port, { password: 's3cret', tls: {} })).rejects.toThrow(/self.signed/);
    await expect(open(port, { password: 's3cret' })).rejects.toThrow(/without TLS are refused/);
  });

  it('does not fall back to clear text', async () => {
    await expect(open(await serve({ users: null }), { tls: { ca: pems.cert } })).rejects.toThrow(/does not speak TLS/);
  });

  it('refuses what was sent in clear behind the request for TLS', async () => {
    const socket = connect(await serve({ users: null, tls }), '127.0.0.1');
    const closed = new Promise<Buffer>((resolve) => {
      const got: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => got.push(chunk)).on('close', () => resolve(Buffer.concat(got)));
    });
    socket.write(Buffer.concat([sslRequest(), sslRequest()]));
    expect((await closed).toString()).not.toContain('S');
  });

  it('that nobody takes is an error that says where', async () => {
    const port = await serve({ users: null });
    servers.splice(0).forEach((server) => server.close());
    await expect(open(port)).rejects.toThrow(`cannot connect to 127.0.0.1:${port}`);
  });
});

describe('a copy read to memory that is used again', () => {
  const PIECES = 20;
  const COPY_OUT = Buffer.from([0x48, 0, 0, 0, 7, 0, 0, 0]);

  /** Sends a piece each time that it is asked, after the first query. */
  async function copying(): Promise<{ port: number; sendOne: () => void }> {
    let sent = 0;
    let sendOne = (): void => {};
    const server = createServer((socket) => {
      const connection = new ServerConnection(socket);
      connections.push(connection);
      sendOne = () => {
        sent += 1;
        socket.write(sent <= PIECES ? copyData(Buffer.from([sent, sent])) : Buffer.concat([copyDone(), commandComplete('COPY'), readyForQuery()]));
      };
      void (async () => {
        await connection.handshake({ users: null });
        await connection.welcome({});
        await connection.next();
        await connection.write(COPY_OUT);
        sendOne();
      })();
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { port: (server.address() as AddressInfo).port, sendOne: () => sendOne() };
  }

  it('comes whole, in short reads, and waits while it is paused', async () => {
    const { port, sendOne } = await copying();
    const client = await open(port, { memory: Buffer.alloc(4096) });
    expect(await client.command('BASE_BACKUP')).toMatchObject({ kind: 'copy-out' });
    const got: number[] = [];
    const whilePaused: number[] = [];
    await client.copyOut((piece) => {
      got.push(...piece);
      sendOne();
      if (piece[0] !== 7) return;
      client.pause();
      void sleep(30).then(() => {
        whilePaused.push(got.length);
        client.resume();
      });
    });
    expect(got).toEqual(Array.from({ length: PIECES }, (_, n) => [n + 1, n + 1]).flat());
    expect(whilePaused).toEqual([14]);
    client.destroy();
  });

  it('that is cut says so', async () => {
    const { port } = await copying();
    const client = await open(port, { memory: Buffer.alloc(4096) });
    await client.command('BASE_BACKUP');
    await expect(client.copyOut(() => client.destroy())).rejects.toThrow('closed the connection');
  });
});
