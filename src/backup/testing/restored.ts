/** For tests: a restore, and a look at the server that comes of it. */
import { join } from 'node:path';
import type { Engine } from '../../engine/find.ts';
import { postgresOsUser } from '../../engine/osuser.ts';
import type { SqlSession } from '../../engine/sql.ts';
import type { BackupInfo } from '../info.ts';
import type { SystemFolder } from '../repository.ts';
import { checkRestorable, restoreData } from '../restore/restore.ts';
import { parseTarget } from '../restore/target.ts';
import { NEVER } from './server.ts';

/** Restores `info` to `target` in the empty `folder`. @returns what `look` sees before the server is stopped, and its timeline. */
export async function restoreTo<T>(
  folder: string, target: string, { system, info, engine }: { system: SystemFolder; info: BackupInfo; engine: Engine }, look: (sql: SqlSession) => Promise<T>,
): Promise<{ seen: T; timeline: number }> {
  const parsed = parseTarget(target);
  const verdict = await checkRestorable(system, info, parsed, { signal: NEVER, onProgress: () => {} });
  const seen: T[] = [];
  const { timeline } = await restoreData({
    system, verdict, target: parsed, engine, user: await postgresOsUser(), dir: folder, logFile: join(folder, 'log'), superuser: 'postgres', onProgress: () => {}, signal: NEVER,
    settle: async (connect) => {
      const sql = connect('postgres');
      seen.push(await look(sql));
      await sql.close();
    },
  });
  return { seen: seen[0] as T, timeline };
}

/** How many rows table t has. */
export async function countT(sql: SqlSession): Promise<number> {
  return (await sql.query<{ rows: number }>('select count(*)::int as rows from t'))[0]!.rows;
}
