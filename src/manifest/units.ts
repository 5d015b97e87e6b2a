/** Sizes, times and shares as a manifest writes them. */

/** Ports below this one are for processes with CAP_NET_BIND_SERVICE. */
export const PRIVILEGED_PORTS = 1024;

/** Bytes: a fresh member, its WAL up to a first checkpoint and a file system's own structures fit; XFS alone wants 300 MB. */
export const SMALLEST_VOLUME = 512 * 1024 ** 2;

const UNITS: Readonly<Record<string, number>> = { kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 };

/**
 * Bytes of a size written with PostgreSQL's units (kB, MB, GB, TB; each 1024 times the one before; case matters), or
 * null. https://www.postgresql.org/docs/current/config-setting.html#CONFIG-SETTING-NAMES-VALUES
 */
export function parseSize(text: string): number | null {
  const found = /^(\d+(?:\.\d+)?) ?(kB|MB|GB|TB)$/.exec(text.trim());
  if (!found) return null;
  const bytes = Math.round(Number(found[1]) * UNITS[found[2]!]!);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** Bytes with the largest unit that divides them, as parseSize reads it. */
export function formatSize(bytes: number): string {
  if (bytes === 0) return '0kB';
  for (const unit of ['TB', 'GB', 'MB', 'kB']) if (Number.isInteger(bytes / UNITS[unit]!)) return `${bytes / UNITS[unit]!}${unit}`;
  return `${bytes / 1024}kB`;
}

const TIMES: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of a time written with PostgreSQL's units (ms, s, min, h, d), or null; see parseSize. */
export function parseDuration(text: string): number | null {
  const found = /^(\d+(?:\.\d+)?) ?(ms|s|min|h|d)$/.exec(text.trim());
  if (!found) return null;
  const ms = Math.round(Number(found[1]) * TIMES[found[2]!]!);
  return Number.isSafeInteger(ms) ? ms : null;
}

/** Milliseconds with the largest unit that divides them, as parseDuration reads it. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  for (const unit of ['d', 'h', 'min', 's']) if (Number.isInteger(ms / TIMES[unit]!)) return `${ms / TIMES[unit]!}${unit}`;
  return `${ms}ms`;
}

/** `25%` as 0.25; null when it is no percentage from 0 to 100. */
export function parseRatio(text: string): number | null {
  const found = /^(\d+(?:\.\d+)?) ?%$/.exec(text.trim());
  if (!found) return null;
  const share = Number(found[1]) / 100;
  return share <= 1 ? share : null;
}
