/** The accounts that pgorbit makes in a new database system. */
import type { Account, SecretsDocument } from '../model.ts';
import type { SqlSession } from '../../engine/sql.ts';

/** initdb makes the agent's account; these follow from it. Idempotent: an account that exists gets its password again. */
export async function setUpAccounts(sql: SqlSession, secrets: SecretsDocument): Promise<void> {
  const accounts: [keyof SecretsDocument, string][] = [
    ['superuser', 'superuser createdb createrole replication bypassrls login'],
    ['replication', 'replication login'],
    ['monitor', 'login'],
  ];
  for (const [key, attributes] of accounts) {
    const { user, password } = secrets[key];
    const exists = (await sql.query('select 1 from pg_roles where rolname = $1', [user])).length > 0;
    // Passwords are letters, digits, - and _: nothing in them needs quoting beyond the quotes themselves.
    await sql.query(`${exists ? 'alter' : 'create'} role ${quoteIdent(user)} with ${attributes} password '${password}'`);
  }
  await sql.query(`grant pg_monitor to ${quoteIdent(secrets.monitor.user)}`);
}

/** Of an account that exists. */
export async function setPassword(sql: SqlSession, { user, password }: Account): Promise<void> {
  await sql.query(`alter role ${quoteIdent(user)} with password '${password}'`);
}

/** True when every account is there. */
export async function accountsExist(sql: SqlSession, secrets: SecretsDocument): Promise<boolean> {
  const wanted = [secrets.superuser.user, secrets.replication.user, secrets.monitor.user];
  const rows = await sql.query<{ found: number }>('select count(*)::int as found from pg_roles where rolname = any($1)', [wanted]);
  return rows[0]?.found === wanted.length;
}

function quoteIdent(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
