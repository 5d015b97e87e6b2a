import type { BackupInfo } from '../../backup/info.ts';
import { chooseBackup, describeTarget, parseTarget } from '../../backup/restore/target.ts';
import { PgorbitError } from '../../errors.ts';
import { fetchSecrets } from '../access.ts';
import { type KeptOptions, keptOf, keptOptions } from '../backup/kept.ts';
import { restoreAs } from '../backup/restore.ts';
import { withCluster } from '../cluster.ts';
import type { Define } from '../command.ts';
import { isClusterName } from '../plan/select.ts';
import { endpointUri, withoutPassword } from '../plan/uri.ts';
import { parseCount } from '../print/units.ts';

interface Options extends KeptOptions {
  as: string;
  to: string;
  port?: string;
}

export const define: Define = (command, declare) => {
  keptOptions(command.argument('[backup]', 'its name, or latest: the newest that ended before the target', 'latest'))
    .requiredOption('--as <cluster>', 'the name of the new cluster')
    .option('--to <target>', "a time ('2026-11-21 11:30:00+01'), a WAL position, the name of a restore point, or latest", 'latest')
    .option('-p, --port <port>', 'the port of PostgreSQL (default: a free one)');
  declare<Options>(command, "pgorbit restore --as rescue\npgorbit restore --from /srv/backups --as rescue --to '2026-11-21 11:30:00'", async (context, [wanted = 'latest'], options) => {
    if (!isClusterName(options.as)) throw new PgorbitError('usage', `${JSON.stringify(options.as)} is no name of a cluster`, { hint: 'letters, digits, _ and -, beginning with a letter or digit' });
    const target = parseTarget(options.to);
    const port = options.port === undefined ? null : parseCount(options.port, '--port', 1, 65_535);
    const system = await keptOf(context, options);
    let info: BackupInfo;
    if (wanted === 'latest') {
      const infos: BackupInfo[] = [];
      for (const label of await system.labels()) infos.push(await system.info(label));
      info = chooseBackup(infos, target);
    } else info = await system.info(wanted);
    const { status } = await restoreAs(context, { system, info, target, cluster: options.as, port });
    const account = await withCluster(context, async (cluster) => (await fetchSecrets(cluster)).superuser, options.as);
    const members = status?.groups[0]?.members ?? [];
    const uri = endpointUri('rw', members, { account, database: 'postgres' });
    const shown = context.out.isTerminal ? uri : withoutPassword(uri);
    context.out.text(`Cluster ${options.as} runs with what ${info.cluster} had at ${describeTarget(target)}:\n\n  ${shown}\n\nIts manifest is a cluster's like any other: \`pgorbit --cluster ${options.as} add replica\` and the like change it.\n`);
    context.out.document({ cluster: options.as, repository: system.store.where, backup: info, target, status, uri: shown });
  });
};
