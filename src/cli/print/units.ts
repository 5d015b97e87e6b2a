import { PgorbitError } from '../../errors.ts';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Bytes for a person, in PostgreSQL's units of 1024: `731 MB`, `1.5 GB`. */
export function formatBytes(bytes: number): string {
  let value = Math.abs(bytes);
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${bytes < 0 ? '-' : ''}${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** A span for a person: `0.4 ms` is no use to anyone, so `0 ms`, `350 ms`, `1.2 s`, `3 min 5 s`, `2 h 10 min`. */
export function formatMs(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

const SIZE = /^(\d+(?:\.\d+)?)\s*(b|kb|mb|gb|tb|k|m|g|t)?$/i;
const EXPONENT: Record<string, number> = { b: 0, k: 1, m: 2, g: 3, t: 4 };

/** `10GB`, `512MB`, `1.5G` or plain bytes, in units of 1024. Throws `usage`. */
export function parseSize(text: string, what: string): number {
  const match = SIZE.exec(text.trim());
  const bytes = match === null ? 0 : Math.floor(Number(match[1]) * 1024 ** (EXPONENT[(match[2] ?? 'b').charAt(0).toLowerCase()] ?? 0));
  if (bytes <= 0) throw new PgorbitError('usage', `${what} is ${JSON.stringify(text)}, which is no size`, { hint: 'write a number with a unit: 512MB, 10GB' });
  return bytes;
}

const SPAN = /^(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)?$/i;
const SPAN_MS: Record<string, number> = { ms: 1, s: 1000, min: 60_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90`, `90s`, `5min`, `2h` as milliseconds; a plain number counts seconds. Throws `usage`. */
export function parseSpan(text: string, what: string): number {
  const match = SPAN.exec(text.trim());
  const ms = match === null ? 0 : Number(match[1]) * (SPAN_MS[(match[2] ?? 's').toLowerCase()] ?? 0);
  if (ms <= 0) throw new PgorbitError('usage', `${what} is ${JSON.stringify(text)}, which is no time span`, { hint: 'write seconds, or a number with a unit: 90s, 5min, 2h' });
  return ms;
}

/** A whole number in a range. Throws `usage`. */
export function parseCount(text: string, what: string, min: number, max: number): number {
  const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) throw new PgorbitError('usage', `${what} is ${JSON.stringify(text)}, which is no whole number`);
  if (value < min || value > max) throw new PgorbitError('usage', `${what} is ${value}; it may be ${min} to ${max}`);
  return value;
}
