/** The CLI is tested as it is shipped: built. It is built again when a source is newer than what was built of it. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mustRun } from './program.ts';

/** The project's folder. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
export const BIN = join(ROOT, 'bin', 'pgorbit');

let building: Promise<void> | undefined;

/** Builds once a process, where it is needed. */
export function ensureBuilt(): Promise<void> {
  building ??= isStale() ? mustRun(process.execPath, [join(ROOT, 'scripts', 'build.mjs')], { cwd: ROOT }).then(() => undefined) : Promise.resolve();
  return building;
}

function isStale(): boolean {
  const built = join(ROOT, 'dist', 'cli', 'main.js');
  return !existsSync(built) || newestSource() > statSync(built).mtimeMs;
}

function newestSource(): number {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true }).filter((entry) => entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'));
  return Math.max(...sources.map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs));
}
