import { describe, expect, it } from 'vitest';
import { PgorbitError } from '../../errors.ts';
import { formatBytes, formatMs, parseCount, parseSize, parseSpan } from './units.ts';

describe('units', () => {
  it.each([[0, '0 B'], [1023, '1023 B'], [1536, '1.5 kB'], [38.6 * 1024 ** 2, '38.6 MB'], [731 * 1024 ** 2, '731 MB'], [1024 ** 3, '1.0 GB'], [-2048, '-2.0 kB']])('prints %d bytes as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([[0.4, '0 ms'], [350, '350 ms'], [1234, '1.2 s'], [59_960, '1 min 0 s'], [185_000, '3 min 5 s'], [7_800_000, '2 h 10 min']])('prints %d ms as %s', (ms, text) => {
    expect(formatMs(ms)).toBe(text);
  });

  it.each([['10GB', 10 * 1024 ** 3], ['512 mb', 512 * 1024 ** 2], ['1.5g', 1.5 * 1024 ** 3], ['4096', 4096]])('reads the size %s', (text, bytes) => {
    expect(parseSize(text, '--size')).toBe(bytes);
  });

  it.each([['90', 90_000], ['90s', 90_000], ['5min', 300_000], ['2h', 7_200_000], ['250ms', 250]])('reads the span %s', (text, ms) => {
    expect(parseSpan(text, '--timeout')).toBe(ms);
  });

  it.each([
    () => parseSize('0GB', '--size'), () => parseSize('ten', '--size'), () => parseSize('-1GB', '--size'),
    () => parseSpan('', '--timeout'), () => parseSpan('0', '--timeout'), () => parseSpan('5 weeks', '--timeout'),
    () => parseCount('-1', '--replicas', 0, 15), () => parseCount('2.5', '--replicas', 0, 15), () => parseCount('16', '--replicas', 0, 15), () => parseCount('', '--replicas', 0, 15),
  ])('refuses what is none as wrong use', (parse) => {
    expect(parse).toThrow(PgorbitError);
    expect(parse).toThrow(/--(size|timeout|replicas) is/);
  });

  it('says which numbers may be given', () => {
    expect(() => parseCount('-1', '--replicas', 0, 15)).toThrow('--replicas is -1; it may be 0 to 15');
  });
});
