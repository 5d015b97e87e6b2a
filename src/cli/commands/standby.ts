import type { Command } from 'commander';
import { PgorbitError } from '../../errors.ts';
import { act } from '../act.ts';
import type { Declare, Define } from '../command.ts';
import { reAttach } from '../re-attach.ts';
import { chooseMember } from '../plan/names.ts';

export const define: Define = (command, declare) => {
  follow(sub(command, 'follow', "make what an old site has left a standby of the cluster that went on: rewound, else copied anew"), declare);
  rebuild(sub(command, 'rebuild', 'copy a standby anew from its source'), declare);
};

function sub(parent: Command, name: string, summary: string): Command {
  return parent.command(name).summary(summary).description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`);
}

/** A copy of terabytes over a slow line. */
const COPY_MS = 7 * 24 * 3_600_000;

function rebuild(command: Command, declare: Declare): void {
  command.argument('<member>', 'the standby, or group/member');
  declare(command, 'pgorbit standby rebuild s1', async (context, [wanted = '']) => {
    await act(context, (groups) => {
      const { group, member } = chooseMember(groups, wanted);
      if (member.role !== 'standby') throw new PgorbitError('usage', `${member.name} is a ${member.role}, not a standby`, { hint: '`pgorbit volume reclaim --reclone` clones replicas anew' });
      return { request: { kind: 'reclone', group: group.name, members: [member.name], drainMs: 0 }, step: `copy ${member.name} anew` };
    }, COPY_MS);
  });
}

interface FollowOptions {
  member?: string;
  name?: string;
  host?: string;
  group?: string;
}

function follow(command: Command, declare: Declare): void {
  command
    .argument('<old>', 'the old cluster, which is down')
    .option('-m, --member <name>', 'whose data of the old cluster (default: those of whoever accepted writes last)')
    .option('-n, --name <name>', 'the name of the new standby (default: that of the old member, where it is free)')
    .option('--host <host>', 'the host that it runs on, one of this machine')
    .option('-g, --group <name>', 'the group that it follows, where the cluster has several');
  declare<FollowOptions>(command, 'pgorbit standby follow shop --cluster dr', async (context, [old = ''], options) => {
    const { name, from, outcome } = await reAttach(context, { old, member: options.member, name: options.name, host: options.host, group: options.group });
    context.out.text(`What ${from} of ${old} had follows now as ${name}. \`pgorbit destroy --cluster ${old}\` removes the rest of ${old}.\n`);
    context.out.document({ standby: name, from, changes: outcome.changes, status: outcome.status });
  });
}
