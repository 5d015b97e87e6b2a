/**
 * PostgreSQL's own judgement of settings, before any server sees them: `postgres -C` reads its options, checks each
 * name and value, prints one of them and ends, without a data directory (src/backend/postmaster/postmaster.c,
 * PostmasterMain) and also for root.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { cleanEnvironment } from '../engine/environment.ts';
import type { Engine } from '../engine/find.ts';
import { PgorbitError } from '../errors.ts';
import type { ClusterSpec } from '../group/model.ts';

/** Throws `setting-refused` with every setting of `spec` that this PostgreSQL does not know or whose value it refuses. */
export async function refuseBadSettings(engine: Engine, spec: ClusterSpec): Promise<void> {
  const refused: string[] = [];
  for (const group of Object.values(spec.groups)) {
    const settings = Object.entries(group.settings);
    if (settings.length === 0 || (await complaint(engine, settings)) === null) continue;
    // It stops at the first: each is asked for by itself, so that all are told at once.
    for (const setting of settings) {
      const said = await complaint(engine, [setting]);
      if (said !== null) refused.push(`group ${group.name}: ${said}`);
    }
  }
  if (refused.length === 0) return;
  throw new PgorbitError('setting-refused', `PostgreSQL ${engine.version} refuses ${refused.length === 1 ? 'a setting' : `${refused.length} settings`}:\n${refused.map((line) => `  - ${line}`).join('\n')}`, {
    hint: 'correct `settings` in the manifest; `name=` with `pgorbit set` takes one out',
  });
}

/** What the server says of these settings, or null when it takes them. */
function complaint(engine: Engine, settings: readonly [string, string][]): Promise<string | null> {
  const options = settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return new Promise((resolve) => {
    execFile(join(engine.bin, 'postgres'), ['-C', 'max_connections', '-D', '/', '-c', 'config_file=/dev/null', ...options], { env: cleanEnvironment(), timeout: 20_000 }, (error, _stdout, stderr) => {
      resolve(error === null ? null : parseComplaint(stderr, settings));
    });
  });
}

/** The server's FATAL and HINT as one sentence. Pure. */
export function parseComplaint(stderr: string, settings: readonly [string, string][]): string {
  const said = /FATAL:\s*(.*)/.exec(stderr)?.[1] ?? stderr.trim().split('\n').at(-1) ?? '';
  const hint = /HINT:\s*(.*)/.exec(stderr)?.[1];
  const [only] = settings;
  const unknown = /^unrecognized configuration parameter "([^"]+)"/.exec(said)?.[1];
  if (unknown !== undefined) return `it does not know ${unknown}`;
  return `${only !== undefined && settings.length === 1 && !said.includes(only[0]) ? `${only[0]}: ` : ''}${said}${hint === undefined ? '' : ` (${hint})`}`;
}
