/** The life of a group's archiver on its host: start, adopt, stop. It outlives the agent that started it. */
import { adoptCompanion, programAt, startCompanion, stopCompanion, type Companion } from '../../engine/companion.ts';
import { runningLogger } from '../../wal/logger/claim.ts';
import { fatalIn } from '../../wal/logger/failure.ts';
import { configFile, forgetStatus, logFile, readStatus } from './files.ts';

const WHAT = 'the archiver';

/** A safety net: a session has some MB under way, and WAL goes by in buffers outside the heap. */
const NODE_FLAGS: readonly string[] = ['--max-old-space-size=128'];

/**
 * Starts the archiver whose folder is `dir`, where its configuration lies already, as this process's own user: that is
 * who takes backups to the repository. `environment` has what an S3 store needs (s3/settings.ts). Resolves when it is at work, or tries to
 * be. Throws what hindered it.
 */
export async function startArchiver(dir: string, environment: Record<string, string> = {}): Promise<Companion> {
  await forgetStatus(dir);
  return startCompanion({
    what: WHAT, program: programAt(new URL('./main.js', import.meta.url), NODE_FLAGS), configFile: configFile(dir), logFile: logFile(dir), user: null, cgroup: null, environment,
    fatal: fatalIn, ready: async (pid) => (await readStatus(dir))?.pid === pid,
  });
}

/** The archiver that runs in `dir`, started by whomever, or null. */
export function adoptArchiver(dir: string): Companion | null {
  const id = runningLogger(dir);
  return id === null ? null : adoptCompanion(id);
}

export const stopArchiver = (archiver: Companion): Promise<void> => stopCompanion(archiver, WHAT);
