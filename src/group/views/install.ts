/** Sees to it that every database of a group has the views. Run by the primary's agent. */
import type { SqlSession } from '../../engine/sql.ts';
import { PgorbitError } from '../../errors.ts';
import { identityOf, installSql, MARK, READER, READER_ID, SCHEMA, VIEWS, type Present } from './objects.ts';

type Sql = Pick<SqlSession, 'query' | 'close'>;

/** A database that could not be seen to. */
export interface InstallFailure {
  database: string;
  error: unknown;
}

// Operators by their schema: this runs as a superuser with whatever search_path the database's owner has set
// (CVE-2018-1058; documentation, "Usage Patterns" of schemas).
const EQ = 'operator(pg_catalog.=)';
const NE = 'operator(pg_catalog.<>)';
const NAMES = VIEWS.filter((view) => view.schema === 'pg_catalog').map((view) => `'${view.name}'`).join(', ');

const PRESENT = `
select o.identity, r.rolsuper as trusted, pg_catalog.obj_description(o.id, o.catalog) as comment,
  exists (select from pg_catalog.pg_depend d, pg_catalog.pg_extension e, pg_catalog.pg_class c
    where d.objid ${EQ} o.id and d.classid ${EQ} c.oid and c.relname ${EQ} o.catalog and c.relnamespace ${EQ} o.system
      and d.deptype ${EQ} 'e' and d.refobjid ${EQ} e.oid and e.extname ${EQ} 'plpgsql') as member
from (
  select pg_catalog.concat(n.nspname) as identity, n.oid as id, 'pg_namespace'::pg_catalog.name as catalog, n.nspowner as owner, s.oid as system
  from pg_catalog.pg_namespace n, pg_catalog.pg_namespace s where n.nspname ${EQ} '${SCHEMA}' and s.nspname ${EQ} 'pg_catalog'
  union all
  select pg_catalog.concat(n.nspname, '.', p.proname), p.oid, 'pg_proc', p.proowner, s.oid
  from pg_catalog.pg_proc p, pg_catalog.pg_namespace n, pg_catalog.pg_namespace s
  where p.pronamespace ${EQ} n.oid and n.nspname ${EQ} '${SCHEMA}' and p.proname ${EQ} '${READER}' and p.pronargs ${EQ} 0::pg_catalog.int2 and s.nspname ${EQ} 'pg_catalog'
  union all
  select pg_catalog.concat(n.nspname, '.', c.relname), c.oid, 'pg_class', c.relowner, s.oid
  from pg_catalog.pg_class c, pg_catalog.pg_namespace n, pg_catalog.pg_namespace s
  where c.relnamespace ${EQ} n.oid and s.nspname ${EQ} 'pg_catalog'
    and (n.nspname ${EQ} '${SCHEMA}' or (n.oid ${EQ} s.oid and c.relname ${EQ} any (array[${NAMES}]::pg_catalog.name[])))
  union all
  select 'plpgsql', e.oid, 'pg_extension', e.extowner, s.oid
  from pg_catalog.pg_extension e, pg_catalog.pg_namespace s where e.extname ${EQ} 'plpgsql' and s.nspname ${EQ} 'pg_catalog'
) o, pg_catalog.pg_roles r
where r.oid ${EQ} o.owner`;

async function look(sql: Sql): Promise<Present> {
  const rows = await sql.query<{ identity: string; trusted: boolean; member: boolean; comment: string | null }>(PRESENT);
  return {
    plpgsql: rows.some(({ identity }) => identity === 'plpgsql'),
    objects: new Map(rows.filter(({ identity }) => identity !== 'plpgsql').map(({ identity, ...rest }) => [identity, rest])),
  };
}

const WANTED = [SCHEMA, READER_ID, ...VIEWS.map(identityOf)];

function complete({ objects }: Present): boolean {
  return objects.get(SCHEMA)?.comment === MARK && WANTED.every((identity) => objects.get(identity)?.trusted === true);
}

/** True when the session's database has this version of the views. One query of the catalogs. */
export async function viewsInstalled(sql: Sql): Promise<boolean> {
  return complete(await look(sql));
}

/**
 * Installs the views in every database that allows connections and lacks them; template1 is one of those, so that new
 * databases have them from the start. Where they are already nothing is executed, for that would write WAL.
 * A standby is left alone. Not before `postgres` can be connected to; what fails in another database (it cannot be
 * connected to, somebody else has a schema "pgorbit" there: PgorbitError `not-ours`) is returned and stops nobody else.
 * @param connect a superuser's session in that database; it is closed before the next is opened
 * @param known OIDs of databases that need no look, kept up to date here: pass the same set each time
 */
export async function installViews(connect: (database: string) => Sql, known: Set<number> = new Set()): Promise<InstallFailure[]> {
  const databases = await within(connect('postgres'), (sql) =>
    sql.query<{ oid: number; name: string }>(
      `select d.oid, d.datname as name from pg_catalog.pg_database d where d.datallowconn and d.datconnlimit ${NE} -2 and not pg_catalog.pg_is_in_recovery()`, // -2: DROP DATABASE did not finish
    ));
  for (const oid of known) {
    if (!databases.some((database) => database.oid === oid)) known.delete(oid);
  }
  const failures: InstallFailure[] = [];
  for (const { oid, name } of databases) {
    if (known.has(oid)) continue;
    try {
      await within(connect(name), (sql) => install(sql, name));
      known.add(oid);
    } catch (error) {
      failures.push({ database: name, error });
    }
  }
  return failures;
}

async function install(sql: Sql, database: string): Promise<void> {
  const present = await look(sql);
  if (complete(present)) return;
  const foreign = [...present.objects].find(([identity, { trusted }]) => !trusted && WANTED.includes(identity));
  if (foreign !== undefined) {
    throw new PgorbitError('not-ours', `${foreign[0]} in the database "${database}" belongs to a role that is no superuser; pgorbit's views are not installed there`, {
      hint: `rename it, in "${database}": alter schema ${SCHEMA} rename to another_name`,
    });
  }
  // One simple query is one transaction (documentation, "Multiple Statements in a Simple Query"), and one connection.
  await sql.query(installSql(present).join(';\n'));
}

async function within<T>(sql: Sql, work: (sql: Sql) => Promise<T>): Promise<T> {
  try {
    return await work(sql);
  } finally {
    await sql.close();
  }
}
