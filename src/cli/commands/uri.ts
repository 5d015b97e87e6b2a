import { PgorbitError } from '../../errors.ts';
import type { Define } from '../command.ts';
import { withCluster } from '../cluster.ts';
import { fetchSecrets } from '../access.ts';
import { chooseGroup, chooseMember } from '../plan/names.ts';
import { answering, endpointUri, memberUri, type Endpoint } from '../plan/uri.ts';

interface Options {
  member?: string;
  endpoint?: string;
  group?: string;
  db?: string;
  balance?: boolean;
}

const ENDPOINTS: readonly Endpoint[] = ['rw', 'ro', 'split'];

export const define: Define = (command, declare) => {
  command
    .option('-m, --member <name>', 'the URI of this member alone')
    .option('-e, --endpoint <which>', 'rw: whoever is the primary (the default); ro: a replica')
    .option('-g, --group <name>', 'the group, where the cluster has several')
    .option('-d, --db <name>', 'the database', 'postgres')
    .option('--balance', 'with --endpoint ro: pick a replica at random (libpq 16 and later)');
  declare<Options>(command, 'psql "$(pgorbit uri)"\npgorbit uri --endpoint ro --db shop', async (context, _operands, options) => {
    const endpoint = endpointOf(options);
    await withCluster(context, async (cluster) => {
      const status = await cluster.call('GET /v1/status', {}, { signal: context.signal });
      const uriOptions = { account: (await fetchSecrets(cluster)).superuser, database: options.db ?? 'postgres', balance: options.balance === true };
      const uri =
        options.member === undefined
          ? endpointUri(endpoint, status.groups.find((group) => group.name === chooseGroup(status.groups.map((one) => one.name), options.group))?.members ?? [], uriOptions)
          : memberUri(answering(chooseMember(status.groups, options.member).member), uriOptions);
      context.out.text(`${uri}\n`);
      context.out.document({ uri });
    });
  });
};

function endpointOf(options: Options): Endpoint {
  if (options.endpoint === undefined) return 'rw';
  if (options.member !== undefined) throw new PgorbitError('usage', '--member names one member and --endpoint a choice of them: give one of the two');
  const found = ENDPOINTS.find((name) => name === options.endpoint);
  if (found === undefined) throw new PgorbitError('usage', `there is no endpoint ${JSON.stringify(options.endpoint)}`, { hint: `--endpoint is one of: ${ENDPOINTS.join(', ')}` });
  return found;
}
