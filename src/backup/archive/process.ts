/** The life of a group's archiver on its host: start, adopt, stop. It outlives the agent that started it. */
import { adoptCompanion, programAt, startCompanion, stopCompanion, type Companion } from '../../engine/companion.ts';
import { configFile, forgetStatus, logFile, readStatus } from './files.ts';

const WHAT = 'the archiver';

/**
 * Starts the archiver whose folder is `dir`, where its configuration lies already, as this process's own user: that is
 * who takes backups to the repository. `environment` has what an S3 store needs (s3/settings.ts). Resolves when it is at work, or tries to
 * be. Throws what hindered it.
 */
export async function startArchiver(dir: string, environment: Record<string, string> = {}): Promise<Companion> {
  await forgetStatus(dir);
  return startCompanion({
    what: WHAT, program: programAt(new URL('./main.js', import.meta.url)), configFile: configFile(dir), logFile: logFile(dir), user: null, cgroup: null, environment,
    ready: async (pid) => (await readStatus(dir))?.pid === pid,
  });
}

/** The archiver that runs in `dir`, started by whomever, or null. */
export const adoptArchiver = (dir: string): Companion | null => adoptCompanion(dir);

export const stopArchiver = (archiver: Companion): Promise<void> => stopCompanion(archiver, WHAT);
