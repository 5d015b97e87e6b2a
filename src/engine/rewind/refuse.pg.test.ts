import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { crc32c } from '../../wal/crc32c.ts';
import { parseLsn, segmentName, segmentOffset } from '../../wal/lsn.ts';
import { WAL_PAGE } from '../../wal/page.ts';
import { TestPostgres, VERSIONS } from '../../wal/testing/postgres.ts';
import { readControlFile } from '../control.ts';
import { caughtUp, contents, follow, makePair, promote, rewindTo } from './testing/pair.ts';
import { prepare, work } from './testing/workload.ts';

const servers: TestPostgres[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.destroy();
});

/** Of every file's name and content. */
function digest(folder: string): string {
  const hash = createHash('sha256');
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true }).map((one) => join(one.parentPath, one.name)).sort()) {
    hash.update(entry);
    if (statSync(entry).isFile()) hash.update(readFileSync(entry));
  }
  return hash.digest('hex');
}

/** Rewinds, expecting an error and nothing written. */
async function refused(target: TestPostgres, source: TestPostgres): Promise<string> {
  const before = digest(target.data);
  let wrote = false;
  const error: unknown = await rewindTo(target, source, { beforeWriting: async () => { wrote = true; } }).then(() => null, (reason: unknown) => reason);
  expect([wrote, digest(target.data)]).toEqual([false, before]);
  const { code, message } = error as { code: string; message: string };
  return `${code}: ${message}`;
}

/** Changes a byte of the control file, and its checksum, while `work` runs. */
async function withControl(server: TestPostgres, change: (bytes: Buffer) => void, run: () => Promise<void>): Promise<void> {
  const file = join(server.data, 'global/pg_control');
  const before = readFileSync(file);
  const bytes = Buffer.from(before);
  change(bytes);
  const crcAt = bytes.readUInt32LE(8) === 1800 ? 292 : 288;
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, crcAt)), crcAt);
  writeFileSync(file, bytes);
  await run();
  writeFileSync(file, before);
}

async function started(version: number, settings: Record<string, string | number> = {}): Promise<{ old: TestPostgres; next: TestPostgres }> {
  const pair = await makePair(version, servers, settings);
  const client = await pair.old.connect();
  await prepare(client);
  await client.end();
  return pair;
}

const SEGMENT = 1 << 24;
const newest = Math.max(...Object.keys(VERSIONS).map(Number));

describe.skipIf(!Number.isFinite(newest))('a rewind that cannot be proven right', () => {
  it('is refused before anything changes, and works once what was wrong is gone', async () => {
    const { old, next } = await started(newest);
    await work(old, 11, 6, { checkpoints: false });
    await old.value('checkpoint');
    await caughtUp(old, next);
    await old.stop();
    expect(await refused(old, next)).toMatch(/^unsafe: .*is in recovery/);
    await old.start();
    await promote(next);
    await work(old, 12, 6, { checkpoints: false });
    await old.value('select pg_switch_wal()');
    await work(old, 13, 6, { checkpoints: false });
    await work(next, 14, 6, { checkpoints: true });
    await old.kill();
    const control = await readControlFile(old.data);

    await withControl(old, (bytes) => bytes.writeUInt32LE(0, 252), async () => expect(await refused(old, next)).toMatch(/^unsafe: .*neither data checksums nor wal_log_hints/));
    await withControl(old, (bytes) => bytes.writeBigUInt64LE(9n, 0), async () => expect(await refused(old, next)).toMatch(/^other-cluster: .*database system 9/));
    await withControl(old, (bytes) => { bytes.writeBigUInt64LE(0x7000_0000n, 136); bytes.writeUInt32LE(1, 144); }, async () => {
      expect(await refused(old, next)).toMatch(/^wal-invalid: .*may be as new as 0\/70000000/);
    });

    symlinkSync('/tmp', join(old.data, 'pg_tblspc/16500'));
    expect(await refused(old, next)).toMatch(/^unsafe: .*neither a file nor a folder/);
    rmSync(join(old.data, 'pg_tblspc/16500'));
    writeFileSync(join(old.data, 'backup_label'), '');
    expect(await refused(old, next)).toMatch(/^unsafe: .*backup_label/);
    rmSync(join(old.data, 'backup_label'));

    // WAL that is damaged, or missing, with more after it.
    const file = join(old.walDir, segmentName(1, parseLsn(control.checkpoint), SEGMENT));
    const whole = readFileSync(file);
    const bytes = Buffer.from(whole);
    bytes.fill(0x77, segmentOffset(parseLsn(control.checkpoint), SEGMENT) + 2 * WAL_PAGE);
    writeFileSync(file, bytes);
    expect(await refused(old, next)).toMatch(/^wal-invalid: .*damaged between/);
    writeFileSync(file, whole);
    renameSync(file, join(old.dir, 'aside'));
    expect(await refused(old, next)).toMatch(/^wal-invalid: .*holds no valid WAL record/);
    renameSync(join(old.dir, 'aside'), file);

    await next.value(`create tablespace here location ''`);
    expect(await refused(old, next)).toMatch(/^unsafe: .*has tablespaces/);
    await next.value('drop tablespace here');

    const abort = new AbortController();
    const reason = new Error('enough');
    abort.abort(reason);
    await expect(rewindTo(old, next, { signal: abort.signal })).rejects.toBe(reason);

    expect((await rewindTo(old, next)).how).toBe('rewound');
    await follow(old, next);
    expect(await contents(old)).toEqual(await contents(next));
  });
});
