import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { fetchSecrets } from '../access.ts';
import type { Define } from '../command.ts';
import { withCluster } from '../cluster.ts';
import { PgorbitError } from '../../errors.ts';
import { findPsql } from '../psql.ts';
import { chooseGroup, chooseMember } from '../plan/names.ts';
import { libpqEnvironment } from '../plan/libpq.ts';
import { answering } from '../plan/uri.ts';

interface Options {
  member?: string;
  group?: string;
}

export const define: Define = (command, declare) => {
  command
    .argument('[args...]', "psql's own options and operands")
    .option('-m, --member <name>', 'connect to this member (default: the primary)')
    .option('--group <name>', 'the group, where the cluster has several')
    .passThroughOptions()
    .allowUnknownOption();
  declare<Options>(command, "pgorbit psql\npgorbit psql --member n2 -- -c 'select pg_is_in_recovery()'", async (context, operands, options) => {
    if (context.out.json) throw new PgorbitError('usage', 'psql has no JSON output', { hint: "use `pgorbit sql --json -c '…'`" });
    const program = await findPsql(context.env);
    if (program === null) {
      throw new PgorbitError('engine-missing', 'psql is not installed on this machine', { hint: "apt-get install postgresql-client; `pgorbit sql -c '…'` works without it" });
    }
    const env = await withCluster(context, async (cluster) => {
      const { groups } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
      const { superuser } = await fetchSecrets(cluster);
      if (options.member !== undefined) return libpqEnvironment([answering(chooseMember(groups, options.member).member)], superuser, context.env);
      const name = chooseGroup(groups.map((group) => group.name), options.group);
      return libpqEnvironment(groups.find((group) => group.name === name)?.members ?? [], superuser, context.env);
    });
    // psql handles Ctrl-C itself: it cancels the statement.
    const ignore = (): void => undefined;
    process.on('SIGINT', ignore);
    const child = spawn(program, operands.flat() as string[], { stdio: 'inherit', env });
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
  });
};
