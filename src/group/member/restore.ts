/**
 * How a standby on a shared volume reads WAL that never reached it: its restore_command looks for a file that names
 * the dead primary's pg_wal, and does nothing while there is none. The command is set when the member is made,
 * because to change it at the time of a promotion lost acknowledged commits: recovery had already looked.
 */
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const SCRIPT = `#!/bin/sh
# Called by PostgreSQL as restore_command: $1 is the file it looks for, $2 where it wants it.
# 1 says "not there, look elsewhere". While no promotion is under way there is nothing to restore from.
read -r from 2>/dev/null < "$(dirname "$0")/restore-from" || exit 1
[ -f "$from/$1" ] || exit 1
exec cp "$from/$1" "$2"
`;

const markerFile = (homeDir: string): string => join(homeDir, 'restore-from');

/** The value of restore_command. Paths are quoted for the shell. */
export function restoreCommand(homeDir: string): string {
  const script = join(homeDir, 'restore.sh').replaceAll("'", "'\\''").replaceAll('%', '%%');
  return `'${script}' "%f" "%p"`;
}

/** Writes the script; PostgreSQL's user must be able to run it. */
export async function writeRestoreScript(homeDir: string): Promise<void> {
  await mkdir(homeDir, { recursive: true });
  const aside = join(homeDir, 'restore.sh.new');
  await writeFile(aside, SCRIPT, { mode: 0o755 });
  await chmod(aside, 0o755);
  await rename(aside, join(homeDir, 'restore.sh'));
}

/** From now on recovery finds what it lacks in `walDir`. */
export async function openRestore(homeDir: string, walDir: string): Promise<void> {
  const aside = `${markerFile(homeDir)}.new`;
  await writeFile(aside, `${walDir}\n`, { mode: 0o644 });
  await chmod(aside, 0o644);
  await rename(aside, markerFile(homeDir));
}

export async function closeRestore(homeDir: string): Promise<void> {
  await rm(markerFile(homeDir), { force: true });
}
