import { expect, test } from 'vitest';
import { crc32c } from '../wal/crc32c.ts';
import { parseControlFile } from './control.ts';

function controlFile(version: number, crcAt: number): Buffer {
  const bytes = Buffer.alloc(8192);
  bytes.writeBigUInt64LE(7_412_345_678_901_234_567n, 0);
  bytes.writeUInt32LE(version, 8);
  bytes.writeUInt32LE(202_209_061, 12);
  bytes.writeUInt32LE(5, 16);
  bytes.writeBigInt64LE(1_700_000_000n, 24);
  bytes.writeBigUInt64LE(0x2_0000_0060n, 32);
  bytes.writeBigUInt64LE(0x2_0000_0028n, 40);
  bytes.writeUInt32LE(3, 48);
  bytes.writeUInt32LE(2, 52);
  bytes[56] = 1;
  bytes.writeBigUInt64LE(0x2_abcd_0000n, 136);
  bytes.writeUInt32LE(3, 144);
  bytes.writeBigUInt64LE(0x2_0000_0028n, 152);
  bytes[168] = 1;
  bytes.writeUInt32LE(1, 172);
  bytes.writeUInt32LE(8192, 216);
  bytes.writeUInt32LE(1 << 24, 228);
  bytes.writeUInt32LE(1, 252);
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, crcAt)), crcAt);
  return bytes;
}

test.each([[1300, 288], [1700, 288], [1800, 292]])('format %i', (version, crcAt) => {
  expect(parseControlFile(controlFile(version, crcAt), 'pg_control')).toMatchObject({
    systemIdentifier: '7412345678901234567', pgControlVersion: version, catalogVersion: 202_209_061, state: 'in archive recovery', time: 1_700_000_000_000,
    checkpoint: '2/60', redo: '2/28', timeline: 3, prevTimeline: 2, fullPageWrites: true, minRecoveryPoint: '2/ABCD0000', minRecoveryTimeline: 3,
    backupStart: '2/28', backupEnd: '0/0', backupEndRequired: true, walLevel: 'replica', blockSize: 8192, walSegmentSize: 16_777_216, dataChecksumVersion: 1,
  });
});

test('a changed byte, an unknown format and a short file are refused', () => {
  const damaged = controlFile(1800, 292);
  damaged[100] = 1;
  expect(() => parseControlFile(damaged, 'pg_control')).toThrow('damaged');
  expect(() => parseControlFile(controlFile(1201, 288), 'pg_control')).toThrow('format 1201');
  expect(() => parseControlFile(controlFile(1800, 292).subarray(0, 200), 'pg_control')).toThrow('200 bytes');
  expect(() => parseControlFile(Buffer.alloc(0), 'pg_control')).toThrow('0 bytes');
});
