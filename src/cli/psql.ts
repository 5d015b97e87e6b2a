import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** The psql on the PATH, or null. */
export async function findPsql(env: NodeJS.ProcessEnv): Promise<string | null> {
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    const file = join(folder, 'psql');
    if (folder !== '' && (await access(file, constants.X_OK).then(() => true, () => false))) return file;
  }
  return null;
}
