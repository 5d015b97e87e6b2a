import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { PgorbitError } from '../../errors.ts';
import type { DrillCheck } from '../../group/member/drill.ts';
import { withCluster } from '../cluster.ts';
import { collect, type Define } from '../command.ts';
import type { Context } from '../context.ts';
import { chooseMember } from '../plan/names.ts';

interface Options {
  sql?: string[];
  command?: string[];
  database: string;
}

/** A copy of much data takes hours where nothing can be cloned. */
const DRILL_MS = 24 * 3_600_000;

export const define: Define = (command, declare) => {
  command
    .argument('<standby>', 'the standby, or group/member')
    .option('--sql <file>', 'a file of SQL that the copy has to run without an error; may be given again', collect)
    .option('-c, --command <sql>', 'SQL that the copy has to run; where it returns one boolean, that has to be true; may be given again', collect)
    .option('-d, --database <name>', 'where the checks run', 'postgres');
  declare<Options>(command, "pgorbit drill s1\npgorbit drill s1 --sql checks.sql -c 'select count(*) > 0 from orders' -d shop", async (context, [wanted = ''], options) => {
    const checks = await checksOf(context, options);
    await withCluster(context, async (cluster) => {
      const { groups } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
      const { group, member } = chooseMember(groups, wanted);
      if (member.role !== 'standby') throw new PgorbitError('usage', `${member.name} is a ${member.role}, not a standby`, { hint: 'a drill is of a standby: `pgorbit add standby` adds one' });
      context.background = 'Its agent ends the drill and throws the copy away.';
      context.progress.step(`copy ${member.name} and promote the copy`);
      const result = await cluster.callHost(member.host, 'POST /v1/drill', { group: group.name, member: member.name, checks, database: options.database }, { signal: context.signal, timeoutMs: context.timeoutMs ?? DRILL_MS });
      context.progress.done();
      const { point, seconds } = result;
      context.out.text([
        `Recovery point: ${point.lsn}, timeline ${point.timeline} now; the last transaction ${point.time === null ? 'is of an unknown time' : `ended at ${point.time}`}.\n`,
        `Recovery time: ${seconds.answered.toFixed(1)} s until it accepted writes, ${seconds.data.toFixed(1)} s of that for its data (${result.how}).\n`,
        ...result.checks.map((check) => `${check.ok ? context.style.green('✓') : context.style.red('✗')} ${check.name}: ${check.message}\n`),
        'The copy is thrown away.\n',
      ].join(''));
      const failed = result.checks.filter((check) => !check.ok);
      context.out.document({ drill: member.name, passed: failed.length === 0, ...result });
      if (failed.length > 0) throw new PgorbitError('operation-failed', `${failed.length === 1 ? 'a check' : `${failed.length} checks`} failed: ${failed.map((check) => check.name).join(', ')}`, { hint: 'what each said stands above' });
    });
  });
};

async function checksOf(context: Context, options: Options): Promise<DrillCheck[]> {
  const files = await Promise.all((options.sql ?? []).map(async (file) => {
    const sql = await readFile(resolve(context.cwd, file), 'utf8').catch((cause: unknown) => {
      throw new PgorbitError('usage', `${file} can't be read: ${(cause as Error).message}`, { cause });
    });
    return { name: file, sql };
  }));
  return [...files, ...(options.command ?? []).map((sql) => ({ name: sql, sql }))];
}
