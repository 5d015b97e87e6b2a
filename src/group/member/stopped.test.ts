import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { CONTROL_STATES, CRC_OFFSET, type ControlState } from '../../engine/control.ts';
import { silentLog, type Log } from '../../observe/log.ts';
import { crc32c } from '../../wal/crc32c.ts';
import { howItStopped } from './stopped.ts';

const FORMAT = 1800;

function controlFile(state: ControlState): Buffer {
  const bytes = Buffer.alloc(8192);
  const crcAt = CRC_OFFSET[FORMAT]!;
  bytes.writeUInt32LE(FORMAT, 8);
  bytes.writeUInt32LE(CONTROL_STATES.indexOf(state), 16);
  bytes.writeUInt32LE(1 << 24, 228);
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, crcAt)), crcAt);
  return bytes;
}

test.each<[string, ControlState | null, { clean: boolean | null; warnings: string[] }]>([
  ['no control file', null, { clean: null, warnings: ['pg_control cannot be read'] }],
  ['a crash', 'in production', { clean: false, warnings: [] }],
  ['a standby that was stopped', 'shut down in recovery', { clean: true, warnings: [] }],
  ['a primary that was stopped, and has lost its WAL', 'shut down', { clean: true, warnings: ['the end of the WAL cannot be read'] }],
])('%s: its end is not known, and that is no reason to know nothing', async (_, state, { clean, warnings }) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'pgorbit-stopped-'));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  await mkdir(join(dataDir, 'global'));
  if (state !== null) await writeFile(join(dataDir, 'global', 'pg_control'), controlFile(state));
  const said: string[] = [];
  const log: Log = { ...silentLog(), warn: (_details: object, text?: string) => void said.push(text ?? '') };
  expect(await howItStopped(dataDir, true, log)).toEqual({ clean, end: null });
  expect(said).toEqual(warnings);
});
