/** What a restored database system must not take over from the one that it is a copy of. */
import type { SqlSession } from '../../engine/sql.ts';
import { setUpAccounts } from '../../group/member/accounts.ts';
import type { SecretsDocument } from '../../group/model.ts';

/**
 * pgorbit's accounts get the new cluster's passwords; subscriptions are disabled, because the publisher would take the
 * copy for the original. Returns the subscriptions.
 */
export async function settleCopy(connect: (database: string) => SqlSession, secrets: SecretsDocument): Promise<string[]> {
  const sql = connect('postgres');
  try {
    await setUpAccounts(sql, secrets);
    // As in setUpAccounts: letters, digits, - and _.
    await sql.query(`alter role ${quote(secrets.agent.user)} with superuser login password '${secrets.agent.password}'`);
    const rows = await sql.query<{ database: string; name: string }>('select d.datname as database, s.subname as name from pg_subscription s join pg_database d on d.oid = s.subdbid where s.subenabled order by 1, 2');
    for (const { database, name } of rows) {
      const session = connect(database);
      try {
        await session.query(`alter subscription ${quote(name)} disable`);
      } finally {
        await session.close();
      }
    }
    return rows.map(({ database, name }) => `${database}.${name}`);
  } finally {
    await sql.close();
  }
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
