/**
 * pgorbit's settings lie in `pgorbit.conf` inside the data directory, included by one line at the end of
 * postgresql.conf, so that a person's own edits there stay, and lose where both say something.
 */
import { join } from 'node:path';
import { PgorbitError } from '../errors.ts';
import { readText } from '../durable.ts';
import { replaceFile, replaceIfDifferent } from './files.ts';
import { isProtected } from './settings.ts';

export const CONFIG_FILE = 'pgorbit.conf';
const INCLUDE = `include_if_exists = '${CONFIG_FILE}'`;

export interface ConfigInput {
  /** Of the manifest. They win, unless the setting is pgorbit's own. */
  user: Record<string, string>;
  /** What pgorbit needs or prefers. */
  own: Record<string, string>;
}

/** A value as a quoted string of postgresql.conf: DeescapeQuotedString() in src/backend/utils/misc/guc-file.l undoes it. */
export function quoteSetting(value: string): string {
  if (value.includes('\0')) throw new PgorbitError('setting-refused', 'A setting cannot hold a NUL character.');
  const escaped = value
    .replaceAll('\\', '\\\\')
    .replaceAll("'", "''")
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r');
  return `'${escaped}'`;
}

/** The text of pgorbit.conf: one line a setting, sorted by name. */
export function renderConfig(input: ConfigInput): string {
  const settings = new Map(Object.entries(input.own));
  for (const [name, value] of Object.entries(input.user)) {
    if (!isProtected(name)) settings.set(name, value);
  }
  const lines = [...settings].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${name} = ${quoteSetting(value)}`);
  return `# Written by pgorbit and overwritten by it: change the settings in the manifest, then run "pgorbit up".\n${lines.join('\n')}\n`;
}

/**
 * Writes pgorbit.conf and sees to the include line. True when either changed. PostgreSQL takes the new values at its
 * next reload (SIGHUP) or start.
 */
export async function writeConfig(dataDir: string, text: string): Promise<boolean> {
  const changed = await replaceIfDifferent(join(dataDir, CONFIG_FILE), text);
  return (await ensureInclude(dataDir)) || changed;
}

/** Adds the include line as the last of postgresql.conf where it is not there yet. True when it was added. */
export async function ensureInclude(dataDir: string): Promise<boolean> {
  const file = join(dataDir, 'postgresql.conf');
  const text = (await readText(file)) ?? '';
  if (text.split('\n').some((line) => line.trim() === INCLUDE)) return false;
  await replaceFile(file, `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${INCLUDE}\n`);
  return true;
}

/** The text without the settings that `remove` names. Comments and everything else stay as they are. */
export function withoutSettings(text: string, remove: (name: string) => boolean): { text: string; removed: string[] } {
  const removed: string[] = [];
  const kept = text.split('\n').filter((line) => {
    const name = /^\s*([A-Za-z_][\w.]*)\s*(?:=|\s)/.exec(line)?.[1]?.toLowerCase();
    if (name === undefined || !remove(name)) return true;
    removed.push(name);
    return false;
  });
  return { text: kept.join('\n'), removed };
}

/**
 * Removes pgorbit's own settings from postgresql.auto.conf, where ALTER SYSTEM puts them and a clone or
 * pg_basebackup -R leaves them: PostgreSQL reads it last, so they would win. Others stay. The names that went.
 */
export async function stripAutoConf(dataDir: string): Promise<string[]> {
  const file = join(dataDir, 'postgresql.auto.conf');
  const before = await readText(file);
  if (before === null) return [];
  const { text, removed } = withoutSettings(before, isProtected);
  if (removed.length > 0) await replaceFile(file, text);
  return removed;
}
