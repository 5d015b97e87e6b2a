import type { Command } from 'commander';
import { PgorbitError } from '../../errors.ts';
import { addHost, removeHost } from '../../manifest/edit.ts';
import type { Declare, Define } from '../command.ts';
import { withCluster, type Cluster } from '../cluster.ts';
import type { Context } from '../context.ts';
import { editManifest } from '../edit.ts';
import { invite, renderInvitation } from '../hosts.ts';
import { hostRows, refuseInhabited, unreachableFrom, type HostRow } from '../plan/hosts.ts';
import { renderTable } from '../print/table.ts';
import { parseCount, parseSpan } from '../print/units.ts';

export const define: Define = (command, declare) => {
  add(sub(command, 'add', 'name a machine in the manifest, and make a token for it to join'), declare);
  list(sub(command, 'ls', 'the hosts, and whether they have joined'), declare);
  token(sub(command, 'token', 'another token for a host that has not joined yet'), declare);
  remove(sub(command, 'remove', 'let a host go that no member lives on'), declare);
  adminToken(sub(command, 'admin-token', 'a token for another machine to manage the cluster: `pgorbit login`'), declare);
};

function sub(parent: Command, name: string, summary: string): Command {
  return parent.command(name).summary(summary).description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`);
}

const withTtl = (command: Command): Command => command.option('--ttl <span>', 'how long the token is good', '1h');
const ttlOf = (options: { ttl: string }): number => parseSpan(options.ttl, '--ttl');

function add(command: Command, declare: Declare): void {
  withTtl(command.argument('<name>', 'its name in the manifest').argument('<address>', 'where the other hosts and the clients reach it'))
    .option('-p, --port <port>', "its agent's port (default: a free one)");
  declare<{ port?: string; ttl: string }>(command, 'pgorbit host add h2 10.0.0.2', async (context, [name = '', address = ''], options) => {
    const port = options.port === undefined ? null : parseCount(options.port, '--port', 1, 65_535);
    const ttl = ttlOf(options);
    const outcome = await editManifest(context, { command: `host add ${name}`, invited: [name] }, ({ text }) => addHost(text, { name, address, port }));
    await withCluster(context, async (cluster) => {
      const invitation = await invite(context, cluster, name, ttl);
      warnUnreachable(context, await hostsOf(cluster, context), address);
      context.out.text(renderInvitation(invitation));
      context.out.document({ added: name, changes: outcome.changes, ...invitation });
    });
  });
}

function token(command: Command, declare: Declare): void {
  withTtl(command.argument('<name>', 'a host of the manifest'));
  declare<{ ttl: string }>(command, 'pgorbit host token h2 --ttl 10min', async (context, [name = ''], options) => {
    const ttl = ttlOf(options);
    await withCluster(context, async (cluster) => {
      const invitation = await invite(context, cluster, name, ttl);
      context.out.text(renderInvitation(invitation));
      context.out.document(invitation);
    });
  });
}

function list(command: Command, declare: Declare): void {
  declare(command, 'pgorbit host ls', async (context) => {
    await withCluster(context, async (cluster) => {
      const rows = await hostsOf(cluster, context);
      context.out.text(renderTable<HostRow>([
        { title: 'host', value: (row) => row.host },
        { title: 'address', value: (row) => (row.port === null ? row.address : `${row.address}:${row.port}`) },
        { title: 'agent', value: (row) => row.state },
        { title: 'votes', value: (row) => (row.voter ? 'yes' : 'no') },
        { title: 'members', value: (row) => (row.members.length === 0 ? '-' : row.members.join(', ')) },
        { title: 'token', value: (row) => (row.token === null ? '-' : row.token) },
      ], rows));
      context.out.document({ hosts: rows });
    });
  });
}

function remove(command: Command, declare: Declare): void {
  command.argument('<name>', 'the host');
  declare(command, 'pgorbit host remove h2', async (context, [name = '']) => {
    const outcome = await editManifest(context, { command: `host remove ${name}` }, ({ text, spec, status }) => {
      refuseInhabited(spec, status, name);
      return removeHost(text, name);
    });
    context.out.text(`Host ${name} is no part of the cluster any more.\n`);
    context.out.document({ removed: name, changes: outcome.changes });
  });
}

function adminToken(command: Command, declare: Declare): void {
  withTtl(command);
  declare<{ ttl: string }>(command, 'pgorbit host admin-token', async (context, _operands, options) => {
    const ttlMs = ttlOf(options);
    await withCluster(context, async (cluster) => {
      const { token: text, expires } = await cluster.call('POST /v1/token', { kind: 'login', host: null, ttlMs }, { signal: context.signal });
      const line = `pgorbit login ${text}`;
      context.out.text(`To let another machine manage the cluster, run there (once, before ${expires}):\n\n  ${line}\n\n`);
      context.out.document({ token: text, expires, command: line });
    });
  });
}

async function hostsOf(cluster: Cluster, context: Context): Promise<HostRow[]> {
  const { document } = await cluster.call('GET /v1/cluster', {}, { signal: context.signal });
  if (document === null) throw new PgorbitError('operation-failed', `cluster ${cluster.name} is not set up yet`, { hint: 'run `pgorbit up` to finish it' });
  const [status, hosts] = [await cluster.call('GET /v1/status', {}, { signal: context.signal }), await cluster.call('GET /v1/hosts', {}, { signal: context.signal })];
  return hostRows(document.spec, status, hosts, Date.now());
}

function warnUnreachable(context: Context, rows: readonly HostRow[], address: string): void {
  const why = unreachableFrom(rows.filter((row) => row.state !== 'not joined').map((row) => row.address), address);
  if (why !== null) context.progress.warn(why);
}
