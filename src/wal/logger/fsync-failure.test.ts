import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { commandComplete, copyBothResponse, dataRow, readyForQuery, rowDescription } from '../../wire/backend.ts';
import { Fields, message } from '../../wire/buffer.ts';
import { parseReceiverMessage, walDataHeader } from '../../wire/replication.ts';
import { ServerConnection } from '../../wire/server.ts';
import { type Lsn, formatLsn, segmentName } from '../lsn.ts';
import { until } from '../testing/logger.ts';
import { Receiver } from './receive.ts';
import { DurableState } from './state.ts';
import { WalStore } from './store.ts';

/** So many of the next calls fail as the kernel does: once for an error of the disk, and then never again. */
const failing = vi.hoisted(() => ({ left: 0 }));
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  return {
    ...fs,
    fdatasyncSync: (fd: number) => {
      fs.fdatasyncSync(fd);
      if (failing.left === 0) return;
      failing.left -= 1;
      throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
    },
  };
});

const MB = 1 << 20;
const START = 0x0300_0000n;

let dir: string;
let store: WalStore;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-fsync-'));
  mkdirSync(join(dir, 'wal'));
  store = await WalStore.open(join(dir, 'wal'), DurableState.open(join(dir, 'state')), { maxSpares: 0 });
  failing.left = 0;
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true, force: true });
});

const stored = (from: Lsn, to: Lsn): Buffer => readFileSync(join(dir, 'wal', segmentName(1, from, MB))).subarray(Number(from - START), Number(to - START));

it('a failed fsync is not tried again: what it was for is zeroed and written anew first', () => {
  store.state.save({ systemIdentifier: '7', segmentSize: MB });
  store.begin({ timeline: 1, parents: [] }, START);
  store.write(START, Buffer.alloc(1000, 1));
  expect(store.flush()).toBe(START + 1000n);
  store.write(START + 1000n, Buffer.alloc(500, 2));
  failing.left = 1;
  expect(() => store.flush()).toThrow('EIO');
  expect(() => store.flush()).toThrow('before it was repaired');
  expect(() => store.write(START + 1500n, Buffer.alloc(1))).toThrow('before it was repaired');
  expect(store.flushed).toBe(START + 1000n);
  store.rollBack();
  expect(stored(START + 1000n, START + 1500n).equals(Buffer.alloc(500))).toBe(true);
  store.write(START + 1000n, Buffer.alloc(500, 2));
  expect(store.flush()).toBe(START + 1500n);
});

it('an fsync that fails at the end of a segment, within one read, has nothing of that read acknowledged', async () => {
  const primary = new FakePrimary();
  const port = await primary.listen();
  const receiver = new Receiver(store, { host: '127.0.0.1', port, user: 'postgres', applicationName: 'logger', term: 1 }, { connectTimeoutMs: 5000, silenceMs: 60_000, now: () => performance.now() });
  try {
    receiver.start();
    await until('it streams', () => primary.asked.length === 1);
    const near = START + BigInt(MB - 1000);
    primary.send([START, near]);
    await until('that is acknowledged', () => primary.acknowledged === near);
    failing.left = 1;
    primary.send([near, near + 500n], [near + 500n, near + 1500n], [near + 1500n, near + 2000n]);
    await until('it comes back', () => primary.asked.length === 2);
    expect(primary.asked).toEqual([START, near].map((at) => `START_REPLICATION ${formatLsn(at)} TIMELINE 1`));
    expect(primary.acknowledged).toBe(near);
    primary.send([near, near + 2000n]);
    await until('it is acknowledged in the end', () => primary.acknowledged === near + 2000n);
  } finally {
    await receiver.stop();
    await primary.close();
  }
});

/** As much of a primary as a logger needs; its WAL is nothing but ones. */
class FakePrimary {
  readonly asked: string[] = [];
  acknowledged: Lsn = 0n;
  #connection: ServerConnection | null = null;
  readonly #server: Server = createServer((socket) => void this.#serve(socket));

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#connection?.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** All in one write. */
  send(...pieces: [from: Lsn, to: Lsn][]): void {
    void this.#connection!.write(Buffer.concat(pieces.map(([from, to]) => message('d', walDataHeader(from, to, 0), Buffer.alloc(Number(to - from), 1)))));
  }

  async #serve(socket: Socket): Promise<void> {
    const connection = new ServerConnection(socket);
    this.#connection = connection;
    await connection.handshake({ users: null });
    await connection.welcome({ server_version: '18.4' });
    for (let got = await connection.next(); got !== null; got = await connection.next()) {
      if (got.type === 'd') {
        const { flush } = parseReceiverMessage(got.payload)!;
        if (flush > this.acknowledged) this.acknowledged = flush;
      }
      if (got.type !== 'Q') continue;
      const text = new Fields(got.payload).cstring();
      if (text.startsWith('START_REPLICATION')) {
        await connection.write(copyBothResponse());
        this.asked.push(text);
      } else {
        const row = text === 'IDENTIFY_SYSTEM' ? ['7', '1', formatLsn(START), ''] : ['1MB'];
        await connection.write(Buffer.concat([rowDescription(row.map((_, i) => ({ name: `c${i}`, type: 25 }))), dataRow(row), commandComplete('OK'), readyForQuery()]));
      }
    }
  }
}
