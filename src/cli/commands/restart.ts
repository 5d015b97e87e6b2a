import { act } from '../act.ts';
import type { Define } from '../command.ts';
import { chooseGroup, chooseMember } from '../plan/names.ts';

export const define: Define = (command, declare) => {
  command.argument('[member]', 'the member, or group/member (default: all of the group, replicas first)').option('-g, --group <name>', 'the group, where the cluster has several');
  declare<{ group?: string }>(command, 'pgorbit restart\npgorbit restart n2', async (context, [wanted], options) => {
    await act(context, (groups) => {
      const chosen = wanted === undefined ? null : chooseMember(groups, wanted);
      const name = chosen?.group.name ?? chooseGroup(groups.map((group) => group.name), options.group);
      const primary = groups.find((group) => group.name === name)?.primary ?? null;
      const hit = chosen === null || chosen.member.name === primary;
      return {
        request: { kind: 'restart', group: name, members: chosen === null ? null : [chosen.member.name] },
        step: chosen === null ? `restart group ${name}, replicas first, one member at a time` : `restart ${chosen.member.name}`,
        warning: hit && primary !== null ? `${primary} is the primary: writes wait while it restarts, and its clients are cut off` : undefined,
      };
    });
  });
};
