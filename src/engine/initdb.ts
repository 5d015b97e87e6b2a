/** Makes a new database system: initdb with pgorbit's choices. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PgorbitError } from '../errors.ts';
import { cleanEnvironment } from './environment.ts';
import { syncTree } from './files.ts';
import type { Engine } from './find.ts';
import { giveTo, type OsUser } from './osuser.ts';
import { reach } from './reach.ts';

const run = promisify(execFile);

export interface InitdbOptions {
  engine: Engine;
  /** Made where it is missing; else an empty folder. */
  dataDir: string;
  user: OsUser | null;
  superuser: string;
  /** The superuser's. */
  password: string;
  /** UTF8 when it is left out. */
  encoding?: string;
  /** C.UTF-8 when it is left out, or C where the system lacks that. */
  locale?: string;
  /** Further arguments of initdb. */
  extra?: readonly string[];
}

let defaultLocale: Promise<string> | undefined;
function findLocale(): Promise<string> {
  defaultLocale ??= run('locale', ['-a']).then(({ stdout }) => (/^C\.utf-?8$/im.test(stdout) ? 'C.UTF-8' : 'C'), () => 'C');
  return defaultLocale;
}

/**
 * Runs initdb: checksums, SCRAM, and everything on disk when it resolves. Throws `unsafe` for a folder that holds
 * anything, `engine-failed` with what initdb said. What a failed run left in the folder is removed by initdb itself.
 */
export async function initdb(options: InitdbOptions): Promise<void> {
  const { engine, dataDir, user } = options;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const entries = await readdir(dataDir);
  if (entries.length > 0) {
    throw new PgorbitError('unsafe', `${dataDir} is not empty (${entries.slice(0, 3).join(', ')}): no database system is made there.`, {
      hint: 'Name another folder, or look at what is in it and move it away yourself.',
    });
  }
  await chmod(dataDir, 0o700);
  await giveTo(dataDir, user);

  // A pipe made by root could not be opened by that user, and an argument would show in every process list.
  const secret = await mkdtemp(join(tmpdir(), 'pgorbit-'));
  try {
    const passwordFile = join(secret, 'password');
    await writeFile(passwordFile, `${options.password}\n`, { mode: 0o600 });
    await giveTo(secret, user);
    const initdbProgram = join(await reach(engine.bin, user), 'initdb');
    const args = [
      '-D', await reach(dataDir, user),
      '--username', options.superuser,
      '--pwfile', await reach(passwordFile, user),
      '--auth', 'scram-sha-256',
      '--encoding', options.encoding ?? 'UTF8',
      '--locale', options.locale ?? (await findLocale()),
      '--data-checksums', '--no-sync', '--no-instructions',
      ...(options.extra ?? []),
    ];
    await run(initdbProgram, args, {
      cwd: '/',
      env: cleanEnvironment(),
      maxBuffer: 16 * 1024 * 1024,
      ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
    });
  } catch (error) {
    if (error instanceof PgorbitError) throw error;
    throw explainInitdb(dataDir, engine, error);
  } finally {
    await rm(secret, { recursive: true, force: true });
  }
  await syncTree(dataDir);
}

function explainInitdb(dataDir: string, engine: Engine, error: unknown): PgorbitError {
  const output = String((error as { stderr?: unknown }).stderr ?? '') || (error as Error).message;
  const lines = output.split('\n').filter((line) => /error:|FATAL|detail:|hint:/i.test(line)).map((line) => line.replace(/^initdb: error: /, '').trim());
  const what = lines.length === 0 ? output.trim().split('\n').slice(-3).join(' ') : lines.join(' ');
  if (/No space left on device/.test(output)) {
    return new PgorbitError('volume-full', `initdb ran out of space in ${dataDir}.`, { hint: 'Free space there (a new database system takes 40 MB), then try again.', cause: error });
  }
  return new PgorbitError('engine-failed', `initdb of PostgreSQL ${engine.version} failed in ${dataDir}: ${what}`, {
    hint: /locale/i.test(output) ? 'Choose a locale that `locale -a` lists.' : undefined,
    cause: error,
  });
}
