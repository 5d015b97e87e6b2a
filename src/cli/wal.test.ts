import { mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memberDir } from '../home.ts';
import { segmentName } from '../wal/lsn.ts';
import { WalBuilder } from '../wal/testing/builder.ts';
import { writeApplied, writeCluster } from './admin.ts';
import { runCommandLine } from './program.ts';
import { clusterSpec, groupSpec } from './testing/specs.ts';

const MB = 1 << 20;
const START = 0x0300_0000n;

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pgorbit-wal-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Three segments of 1 MB in `dir`, the last one partly written. */
function writeWal(dir: string): WalBuilder {
  mkdirSync(dir, { recursive: true });
  const wal = new WalBuilder({ start: START, segmentSize: MB });
  while (wal.at < START + BigInt(2 * MB) + 300_000n) wal.record(5000);
  for (let i = 0; i < 3; i++) writeFileSync(join(dir, name(i)), wal.segment(START + BigInt(i * MB)));
  return wal;
}
const name = (i: number): string => segmentName(1, START + BigInt(i * MB), MB);

async function pgorbit(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await runCommandLine(argv, {
    env: { PGORBIT_HOME: join(root, 'home'), HOME: root }, cwd: root, stdin: { isTTY: false } as NodeJS.ReadStream,
    stdout: { write: (text) => void (out += text) }, stderr: { write: (text) => void (err += text) }, signal: new AbortController().signal,
  });
  return { code, out, err };
}

describe('pgorbit wal', () => {
  it('lists a folder, in text and as JSON', async () => {
    writeWal(join(root, 'pg/pg_wal'));
    writeFileSync(join(root, 'pg/pg_wal/00000002.history'), '1\t0/3150000\tno recovery target specified\n');
    const { code, out } = await pgorbit('wal', 'ls', 'pg');
    expect(code).toBe(0);
    expect(out).toContain('WAL of PostgreSQL 15, system 7');
    expect(out).toContain('3 segments of 1.0 MB, 3.0 MB in all');
    expect(out).toMatch(new RegExp(`${name(1)} +1  0/3100000  1\\.0 MB  written`));
    expect(out).toContain('timeline 2: left 1 at 0/3150000');
    const document = JSON.parse((await pgorbit('wal', 'ls', 'pg/pg_wal', '--json')).out) as { segments: { start: string }[] };
    expect(document).toMatchObject({ version: 15, systemIdentifier: '7', timelines: [{ timeline: 2, parents: [{ timeline: 1, switchpoint: '0/3150000' }] }] });
    expect(document.segments.map(({ start }) => start)).toEqual(['0/3000000', '0/3100000', '0/3200000']);
  });

  it('finds whole WAL sound', async () => {
    const wal = writeWal(join(root, 'wal'));
    const { code, out } = await pgorbit('wal', 'verify', '.');
    expect(code).toBe(0);
    expect(out).toContain(`${join(root, 'wal')}: sound`);
    expect(out).toContain(`timeline 1: ${wal.records.length} records`);
  });

  it('exits with 1 on damage, and names file and position', async () => {
    const wal = writeWal(join(root, 'wal'));
    const hit = wal.records.find(({ start }) => start > START + BigInt(MB) + 400_000n)!;
    const bytes = wal.segment(START + BigInt(MB));
    bytes[Number(hit.start - START) - MB + 200]! ^= 0xff;
    writeFileSync(join(root, 'wal', name(1)), bytes);
    const { code, out, err } = await pgorbit('wal', 'verify', 'wal');
    expect(code).toBe(1);
    expect(out).toContain('damaged');
    expect(err).toContain(`${join(root, 'wal', name(1))}: the last valid record ends at 0/${hit.start.toString(16).toUpperCase()}`);
    const { code: again, out: json } = await pgorbit('wal', 'verify', 'wal', '--json');
    expect(again).toBe(1);
    expect(JSON.parse(json)).toMatchObject({ timeline: 1, gaps: [], damaged: [{ segment: name(1), lsn: `0/${hit.start.toString(16).toUpperCase()}` }] });
  });

  it('exits with 1 on a gap', async () => {
    writeWal(join(root, 'wal'));
    unlinkSync(join(root, 'wal', name(1)));
    const { code, err } = await pgorbit('wal', 'verify', 'wal');
    expect(code).toBe(1);
    expect(err).toContain('WAL from 0/3100000 to 0/3200000 is missing');
  });

  it('finds the WAL of a member of the cluster, whether agents run or not', async () => {
    const home = join(root, 'home');
    const group = { ...groupSpec('main', { n1: ['h1', 'primary'], n2: ['h1', 'replica'] }), storage: 'local' as const, volume: null };
    await writeCluster(home, { format: 1, cluster: 'shop', clusterId: 'id', agents: [{ host: 'h1', address: '127.0.0.1', port: 7400 }], remote: [], founders: ['h1'] });
    await writeApplied(home, 'shop', { source: null, baseDir: root, sha256: '', spec: clusterSpec(['h1'], [group]) });
    writeWal(join(memberDir(home, 'shop', 'h1', 'main', 'n1'), 'storage/data/pg_wal'));
    expect((await pgorbit('wal', 'ls', '--member', 'n1')).out).toContain('n1/storage/data/pg_wal: WAL of PostgreSQL 15');
    const elsewhere = await pgorbit('wal', 'ls', '--member', 'n2');
    expect([elsewhere.code, elsewhere.err]).toEqual([1, expect.stringContaining('the WAL of n2 is not on this machine')]);
    expect((await pgorbit('wal', 'ls', '--member', 'n9')).code).toBe(2);
  });
});
