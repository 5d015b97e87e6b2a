/** The database objects that make the views, as SQL. */
import { STATUS_FILE } from './file.ts';

/** Counts changes of what is below: a database with another number is brought up to date. */
const VERSION = 1;
/** The comment of the schema. */
export const MARK = `pgorbit views ${VERSION}`;
export const SCHEMA = 'pgorbit';
export const READER = 'status_file';
/** Every ordinary role is kept out: how a cluster is laid out is not for everybody. */
const GRANTEE = 'pg_monitor';

/** The views read no more of the file than this, bytes; a whole file is far smaller. */
const LIMIT = 4 * 1024 * 1024;

/**
 * The file as json, or null where it is missing or not whole (a whole one ends with "}" and a line feed).
 * The four-argument pg_read_binary_file is in all of PostgreSQL 15 to 18. The body is parsed here and now, so no
 * search_path of a reader changes what it means. The text is ASCII: as SQL_ASCII it is taken as it is in every
 * encoding. A database that is not in UTF8 shows "?" for what its encoding may have no character for.
 */
export const READER_SQL = `create or replace function ${SCHEMA}.${READER}() returns json
language sql volatile parallel safe security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select case when getdatabaseencoding() = 'UTF8' then t.text else regexp_replace(t.text, $re$\\\\u(?!00[0-7])[0-9a-f]{4}$re$, '?', 'g') end::json
  from (
    select case when substring(f.bytes from length(f.bytes) - 1) = decode('7d0a', 'hex') then convert_from(f.bytes, 'SQL_ASCII') end as text
    from (select pg_read_binary_file('${STATUS_FILE}', 0, ${LIMIT}, true) as bytes) f
  ) t;
end`;

export interface View {
  schema: typeof SCHEMA | 'pg_catalog';
  name: string;
  /** Its select, all names resolved with the search_path `pg_catalog`. */
  sql: string;
}

interface Column {
  /** Name and type of the view's column. */
  name: string;
  type: string;
  /** The expression, where it is not the file's value of the same name. */
  from?: string;
  /** The file's own name and type, for `from`. */
  file?: string;
}

const NULL = 'null';
const column = (name: string, type: string): Column => ({ name, type });
const without = (name: string, type: string): Column => ({ name, type, from: NULL });

/** `list` is the file's list of rows. */
function viewSql(list: string, columns: Column[]): string {
  const shown = columns.map(({ name, type, from }) => (from === undefined ? `r."${name}"` : `${from}::${type} as "${name}"`));
  const read = columns.flatMap(({ name, type, from, file }) => (from === NULL ? [] : [file ?? `"${name}" ${type}`]));
  return `select ${shown.join(', ')}, (f.doc ->> 'as_of')::timestamptz as as_of
from (select ${SCHEMA}.${READER}() as doc) f, json_to_recordset(f.doc -> '${list}') as r(${read.join(', ')})`;
}

// Columns and types of the polar views are those of contrib/polar_monitor/polar_monitor--1.1.sql, `appened_lsn` too.
export const VIEWS: View[] = [
  {
    schema: SCHEMA, name: 'members',
    sql: viewSql('members', [
      column('group', 'text'), column('member', 'text'), column('role', 'text'), column('host', 'text'), column('address', 'text'), column('port', 'integer'),
      column('state', 'text'), column('timeline', 'integer'), column('lsn', 'pg_lsn'), column('received', 'pg_lsn'), column('lag_bytes', 'bigint'),
      { name: 'lag', type: 'interval', from: "(r.lag_ms * interval '1 millisecond')", file: 'lag_ms double precision' },
      column('synchronous', 'boolean'), column('voter', 'boolean'), column('is_self', 'boolean'),
    ]),
  },
  {
    schema: SCHEMA, name: 'events',
    sql: viewSql('events', [
      column('time', 'timestamptz'), column('host', 'text'), column('sequence', 'bigint'), column('group', 'text'), column('member', 'text'),
      column('level', 'text'), column('kind', 'text'), column('message', 'text'), column('operation', 'text'),
    ]),
  },
  {
    schema: 'pg_catalog', name: 'polar_dma_cluster_status',
    sql: viewSql('polar_cluster', [
      column('server_id', 'bigint'), column('ip_port', 'text'), column('match_index', 'bigint'), without('next_index', 'bigint'), column('role', 'integer'),
      without('has_voted', 'boolean'), without('force_sync', 'boolean'), without('election_weight', 'integer'), without('learner_source', 'bigint'),
      without('pipelining', 'boolean'),
    ]),
  },
  {
    schema: 'pg_catalog', name: 'polar_dma_consensus_status',
    sql: viewSql('polar_consensus', [
      column('state', 'integer'), column('term', 'bigint'), without('log_term', 'bigint'), without('xlog_term', 'bigint'), column('leader_id', 'bigint'),
      without('sync_rqst_lsn', 'pg_lsn'), column('synced_tli', 'integer'), column('synced_lsn', 'pg_lsn'), without('purge_lsn', 'pg_lsn'),
      column('commit_index', 'bigint'), column('flushed_lsn', 'pg_lsn'), column('flushed_tli', 'integer'), without('appened_lsn', 'pg_lsn'),
      without('commit_queue_length', 'bigint'), without('stats_queue_length', 'bigint'),
    ]),
  },
  {
    schema: 'pg_catalog', name: 'polar_dma_member_status',
    sql: viewSql('polar_member', [
      column('server_id', 'bigint'), column('current_term', 'bigint'), column('current_leader', 'bigint'), column('commit_index', 'bigint'),
      without('last_log_term', 'bigint'), column('last_log_index', 'bigint'), column('paxos_role', 'integer'), without('vote_for', 'bigint'),
    ]),
  },
];

/** What a database has of the objects. */
export interface Present {
  /** The extension plpgsql, which initdb installs everywhere. */
  plpgsql: boolean;
  /** By identity, as `identityOf` and SCHEMA and READER have it. */
  objects: Map<string, { trusted: boolean; member: boolean; comment: string | null }>;
}

/** By object, not by extension: nothing but our own is touched. */
const LIKE_INITDB = `update pg_init_privs set privtype = 'i' where privtype = 'e' and (
  (classoid = 'pg_namespace'::regclass and objoid = '${SCHEMA}'::regnamespace)
  or (classoid = 'pg_proc'::regclass and objoid = '${SCHEMA}.${READER}()'::regprocedure)
  or (classoid = 'pg_class'::regclass and objoid = any (array[${VIEWS.map((view) => `'${view.schema}.${view.name}'`).join(', ')}]::regclass[])))`;

export const identityOf = (view: View): string => `${view.schema}.${view.name}`;
export const READER_ID = `${SCHEMA}.${READER}`;

/**
 * The statements that bring a database up to date, to be run as one transaction. Any number of times: what is there
 * is replaced in place, so that views that people built on these stay.
 *
 * The polar views go to pg_catalog, where PolarDB's users find them under their plain names whatever the search_path
 * is, and where nobody but a superuser can put others in their place. A view cannot be created there, but moved there.
 *
 * All of it is made to look as if initdb had made it, so that pg_dump and pg_upgrade leave it out; a dump that held it
 * would not restore into another database of a cluster, which has it already. That takes two things. What belongs to
 * plpgsql, an extension that is always there, is not dumped (checkExtensionMembership in pg_dump.c); its privileges are,
 * unless they are those of pg_init_privs, and pg_upgrade wants even these unless they are marked as initdb's (dumpACL).
 * Therefore privileges come before the extension, and their mark last.
 */
export function installSql(present: Present): string[] {
  const has = (identity: string): boolean => present.objects.has(identity);
  const add = (identity: string, what: string): string[] =>
    present.plpgsql && present.objects.get(identity)?.member !== true ? [`alter extension plpgsql add ${what}`] : [];
  return [
    // What a database's owner may have set for every session in it (ALTER DATABASE ... SET).
    'set transaction read write',
    'set local session authorization default',
    'set local role none',
    'set local search_path = pg_catalog, pg_temp',
    // A view that a long query reads is not worth waiting for, and everybody else would wait behind it.
    "set local lock_timeout = '1s'",
    // Nobody relies on these rows: a primary that has lost its voters need not wait for them.
    'set local synchronous_commit = local',
    ...(has(SCHEMA) ? [] : [`create schema ${SCHEMA}`]),
    `grant usage on schema ${SCHEMA} to ${GRANTEE}`,
    ...add(SCHEMA, `schema ${SCHEMA}`),
    READER_SQL,
    `revoke all on function ${READER_ID}() from public`,
    `grant execute on function ${READER_ID}() to ${GRANTEE}`,
    ...add(READER_ID, `function ${READER_ID}()`),
    ...VIEWS.flatMap((view) => {
      const identity = identityOf(view);
      const made = has(identity) ? identity : `${SCHEMA}.${view.name}`;
      return [
        `create or replace view ${made} as ${view.sql}`,
        `grant select on ${made} to ${GRANTEE}`,
        ...(made === identity ? [] : [`alter view ${made} set schema ${view.schema}`]),
        ...add(identity, `view ${identity}`),
      ];
    }),
    ...(present.plpgsql ? ['set local allow_system_table_mods = on', LIKE_INITDB] : []),
    `comment on schema ${SCHEMA} is '${MARK}'`,
  ];
}
