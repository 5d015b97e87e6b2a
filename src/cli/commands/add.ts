import { resolve } from 'node:path';
import type { Command } from 'commander';
import { PgorbitError } from '../../errors.ts';
import type { Role } from '../../group/model.ts';
import { addMember } from '../../manifest/edit.ts';
import type { Declare, Define } from '../command.ts';
import { editManifest } from '../edit.ts';
import { chooseGroup, nextHost, nextName } from '../plan/names.ts';
import { parseCount, parseSize } from '../print/units.ts';

/** A copy of terabytes over a slow line. Ctrl-C leaves it to the agents at any time. */
const COPY_MS = 7 * 24 * 3_600_000;

interface Options {
  name?: string;
  host?: string;
  port?: string;
  group?: string;
  path?: string;
  volume?: string;
  from?: string;
  source?: string;
  rate?: string;
}

export const define: Define = (command, declare) => {
  kind(command, declare, 'replica', 'a member that follows the primary, serves reads and may take over');
  kind(command, declare, 'logger', 'a member that stores WAL and votes, without data');
  kind(command, declare, 'standby', 'a member that follows at a distance, on storage of its own, without a vote');
};

function kind(parent: Command, declare: Declare, role: Exclude<Role, 'primary'>, summary: string): void {
  const command = parent
    .command(role)
    .description(`Add ${summary}.`)
    .summary(summary)
    .option('-n, --name <name>', 'its name (default: the next free n1, n2, …)')
    .option('--host <host>', 'the host that it runs on (default: the one with the fewest members)')
    .option('-p, --port <port>', `the port of ${role === 'logger' ? 'the logger' : 'PostgreSQL'} (default: a free one)`)
    .option('-g, --group <name>', 'the group, where the cluster has several')
    .option('--path <folder>', `its folder${role === 'replica' ? ', in a group with local storage' : ''} (default: in the home of its agent)`);
  if (role === 'standby') {
    command
      .option('--from <group>', 'the group that it is a copy of (the same as --group)')
      .option('--volume <name>', 'its own volume, one of the manifest')
      .option('--source <member>', 'whom it takes WAL and data from: a member, or primary, replica, logger (default: the primary)')
      .option('--rate <size>', 'how much of the data may be read in a second while it is copied, such as 50MB');
  }
  const examples = role === 'standby' ? 'pgorbit add standby --from main --source replica --path /srv/far --rate 50MB' : `pgorbit add ${role} --name n4 --host h2 --port 5440`;
  declare<Options>(command, `pgorbit add ${role}\n${examples}`, async (context, _operands, options) => {
    const port = options.port === undefined ? null : parseCount(options.port, '--port', 1, 65_535);
    const path = options.path === undefined ? null : resolve(context.cwd, options.path);
    if (options.from !== undefined && options.group !== undefined && options.from !== options.group) throw new PgorbitError('usage', `--from names group ${options.from}, and --group names ${options.group}`);
    const rate = options.rate === undefined ? null : parseSize(options.rate, '--rate');
    let made = '';
    const outcome = await editManifest(context, { command: `add ${role}`, ...(role === 'standby' ? { timeoutMs: COPY_MS } : {}) }, ({ text, spec }) => {
      const group = spec.groups[chooseGroup(Object.keys(spec.groups), options.from ?? options.group)];
      if (group === undefined) throw new PgorbitError('no-such-group', 'the cluster has no group');
      if (options.host !== undefined && spec.hosts[options.host] === undefined) {
        throw new PgorbitError('no-such-host', `there is no host ${JSON.stringify(options.host)} in the manifest`, { hint: `the hosts are: ${Object.keys(spec.hosts).join(', ')}` });
      }
      made = options.name ?? nextName(spec);
      return addMember(text, group.name, { name: made, host: options.host ?? nextHost(spec, group), role, port, volume: options.volume ?? null, path, source: options.source ?? null, rate });
    });
    context.out.text(`${made} is part of the cluster.\n`);
    context.out.document({ added: [made], changes: outcome.changes, status: outcome.status });
  });
}
