import { PgorbitError } from '../../errors.ts';
import { act } from '../act.ts';
import type { Define } from '../command.ts';
import { chooseGroup, chooseMember } from '../plan/names.ts';

interface Options {
  to?: string;
  group?: string;
}

export const define: Define = (command, declare) => {
  command
    .option('-t, --to <member>', 'the new primary (default: the replica that has the most WAL)')
    .option('-g, --group <name>', 'the group, where the cluster has several');
  declare<Options>(command, 'pgorbit switchover\npgorbit switchover --to n2', async (context, _operands, options) => {
    await act(context, (groups) => {
      const chosen = options.to === undefined ? null : chooseMember(options.group === undefined ? groups : groups.filter((group) => group.name === options.group), options.to);
      const name = chosen?.group.name ?? chooseGroup(groups.map((group) => group.name), options.group);
      const group = groups.find((one) => one.name === name);
      if (chosen !== null && chosen.member.name === group?.primary) throw new PgorbitError('usage', `${chosen.member.name} is the primary already`, { hint: 'see `pgorbit status`' });
      const from = group?.primary ?? 'the primary';
      return {
        request: { kind: 'switchover', group: name, to: chosen?.member.name ?? null },
        step: chosen === null ? `switch over from ${from}` : `switch over from ${from} to ${chosen.member.name}`,
      };
    });
  });
};
