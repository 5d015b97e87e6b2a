import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { formatManifest, parseManifest } from './manifest.ts';

/** As the server writes it: the last line has the checksum of those before it. */
function manifest(files: string[], head = '"PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": 7400000000000000123'): Buffer {
  const body = `{ ${head},\n"Files": [\n${files.join(',\n')}\n],\n"WAL-Ranges": [\n{ "Timeline": 3, "Start-LSN": "0/2000028", "End-LSN": "0/2000138" }\n],\n`;
  return Buffer.from(`${body}"Manifest-Checksum": "${createHash('sha256').update(body).digest('hex')}"}\n`);
}

const ONE = '{ "Path": "base/1/1259", "Size": 8192, "Last-Modified": "2026-01-01 00:00:00 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "9F1c2c33" }';

it('names files, their checksums, and the WAL that is needed', () => {
  const { systemIdentifier, files, walRanges } = parseManifest(manifest([ONE, '{ "Encoded-Path": "62ff", "Size": 0, "Last-Modified": "x" }']));
  expect(systemIdentifier).toBe('7400000000000000123');
  expect([...files.values()]).toEqual([
    { path: 'base/1/1259', size: 8192, checksum: { algorithm: 'CRC32C', hex: '9f1c2c33' } },
    { path: 'b\u00ff', size: 0, checksum: null },
  ]);
  expect(walRanges).toEqual([{ timeline: 3, startLsn: '0/2000028', endLsn: '0/2000138' }]);
});

it('a name beyond ASCII is its bytes', () => {
  expect([...parseManifest(manifest(['{ "Path": "é", "Size": 1 }'])).files.keys()]).toEqual(['\u00c3\u00a9']);
});

it('comes back as it was written', () => {
  const files = [{ path: 'base/1/1259', size: 8192, checksum: { algorithm: 'CRC32C' as const, hex: '9f1c2c33' } }, { path: 'b\u00ff', size: 0, checksum: null }, { path: '\u00c3\u00a9"', size: 1, checksum: null }];
  const whole = { systemIdentifier: '18446744073709551615', walRanges: [{ timeline: 3, startLsn: '0/2000028', endLsn: '0/2000138' }] };
  const bytes = formatManifest({ ...whole, files: files.map((file) => ({ ...file, modifiedMs: Date.UTC(2026, 0, 1) })) });
  expect(parseManifest(bytes)).toEqual({ ...whole, files: new Map(files.map((file) => [file.path, file])) });
  // As the server writes it, byte for byte.
  const one = formatManifest({ ...whole, systemIdentifier: '7400000000000000123', files: [{ ...files[0]!, modifiedMs: Date.UTC(2026, 0, 1) }] });
  expect(one).toEqual(manifest([ONE.replace('9F1c', '9f1c')]));
});

it('any changed byte is noticed', () => {
  const bytes = manifest([ONE]);
  for (let at = 0; at < bytes.length; at += 7) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 0x02;
    expect(() => parseManifest(changed), `byte ${at}`).toThrow(/backup_manifest is damaged/);
  }
});

it('one that breaks off is noticed', () => {
  const bytes = manifest([ONE]);
  expect(() => parseManifest(bytes.subarray(0, -1))).toThrow('its last line does not end');
  expect(() => parseManifest(bytes.subarray(0, 200))).toThrow('it is no JSON document');
});

it.each([
  ['two files of one name', [ONE, ONE], 'names base/1/1259 twice'],
  ['a file without a name', ['{ "Size": 1 }'], 'a file has no name, or two'],
  ['an unknown checksum', ['{ "Path": "a", "Size": 1, "Checksum-Algorithm": "MD5", "Checksum": "00" }'], 'a has a checksum that is not known: MD5'],
  ['a size that is none', ['{ "Path": "a", "Size": -1 }'], 'Files.0.Size'],
])('%s is refused', (_, files, message) => {
  expect(() => parseManifest(manifest(files))).toThrow(message);
});

it('an unknown version is refused', () => {
  expect(() => parseManifest(manifest([ONE], '"PostgreSQL-Backup-Manifest-Version": 3'))).toThrow('PostgreSQL-Backup-Manifest-Version');
});
