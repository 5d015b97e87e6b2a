import { PgorbitError } from '../../errors.ts';
import { fetchSecrets } from '../access.ts';
import { collect, type Define } from '../command.ts';
import { withCluster } from '../cluster.ts';
import { Interrupted, type Context } from '../context.ts';
import { chooseGroup, chooseMember } from '../plan/names.ts';
import { splitStatements } from '../plan/statements.ts';
import { answering, type Place } from '../plan/uri.ts';
import { renderRows, type ResultTable } from '../print/rows.ts';
import { renderServerError } from '../print/sql-error.ts';
import { isServerError, openSql, type SqlSession } from '../sql.ts';

interface Options {
  command?: string[];
  member?: string;
  group?: string;
  db?: string;
}

export const define: Define = (command, declare) => {
  command
    .option('-c, --command <sql>', 'the statement; may be given several times (default: statements from standard input)', collect)
    .option('-m, --member <name>', 'the member that runs it (default: the primary)')
    .option('-g, --group <name>', 'the group, where the cluster has several')
    .option('-d, --db <name>', 'the database', 'postgres');
  declare<Options>(command, "pgorbit sql -c 'select * from pg_stat_replication'\npgorbit sql --member n2 < report.sql", async (context, _operands, options) => {
    const texts = options.command ?? splitStatements(await readInput(context));
    await withCluster(context, async (cluster) => {
      const { groups, site } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
      const session = await openSql({
        member: options.member === undefined ? primaryIn(groups, options.group, site?.role === 'standby' ? site.peer.cluster : null) : answering(chooseMember(groups, options.member).member),
        account: (await fetchSecrets(cluster)).superuser,
        database: options.db ?? 'postgres',
        timeoutMs: context.timeoutMs,
        signal: context.signal,
        onCopy: (data) => context.out.text(data.toString('utf8')),
        onNotice: (notice) => context.stderr.write(renderServerError(notice, '')),
      });
      try {
        context.out.document({ results: (await runAll(context, session, texts)).map(plain) });
      } finally {
        await session.end();
      }
    });
  });
};

async function runAll(context: Context, session: SqlSession, texts: readonly string[]): Promise<ResultTable[]> {
  const all: ResultTable[] = [];
  for (const text of texts) {
    try {
      for (const result of await session.run(text)) {
        all.push(result);
        if (result.tag !== null) context.out.text(result.fields.length > 0 ? `${renderRows(result)}\n` : `${result.tag}\n`);
      }
    } catch (error) {
      if (context.signal.aborted) throw new Interrupted();
      if (!isServerError(error)) throw new PgorbitError('postgres-failed', `the connection was lost: ${(error as Error).message}`, { hint: 'see `pgorbit status`; the statement may have taken effect', cause: error });
      throw new PgorbitError('operation-failed', renderServerError(error, text).trimEnd(), { hint: error.code === '25006' ? 'this member is a replica: leave out --member to write on the primary' : 'PostgreSQL refused the statement' });
    }
  }
  return all;
}

/** For JSON: rows as objects would lose columns of one name, so columns and rows stand apart. */
function plain(result: ResultTable): object {
  return { command: result.tag, rowCount: result.rowCount, columns: result.fields.map((field) => field.name), rows: result.rows };
}

/** @param otherSite the cluster of which this one is the standby site, or null */
function primaryIn(groups: readonly { name: string; primary: string | null; members: (Place & { name: string })[] }[], wanted: string | undefined, otherSite: string | null): Place {
  const name = chooseGroup(groups.map((group) => group.name), wanted);
  const group = groups.find((one) => one.name === name);
  const primary = group?.members.find((member) => member.name === group.primary);
  if (primary !== undefined) return primary;
  if (otherSite !== null) throw new PgorbitError('operation-failed', `this is the standby site of ${otherSite}: nothing can be written here`, { hint: `--cluster ${otherSite} runs it there; --member reads here` });
  throw new PgorbitError('operation-failed', `group ${name} has no primary just now`, { hint: 'see `pgorbit status`; --member runs it on a replica' });
}

async function readInput(context: Context): Promise<string> {
  if (context.stdin.isTTY) throw new PgorbitError('usage', 'no statement was given', { hint: "pgorbit sql -c 'select 1', or pipe statements into it; `pgorbit psql` is the interactive way" });
  const chunks: Buffer[] = [];
  for await (const chunk of context.stdin) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks).toString('utf8');
}
