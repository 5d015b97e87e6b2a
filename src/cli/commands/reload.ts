import { act } from '../act.ts';
import type { Define } from '../command.ts';
import { chooseGroup, chooseMember } from '../plan/names.ts';

export const define: Define = (command, declare) => {
  command.argument('[member]', 'the member, or group/member (default: all of the group)').option('-g, --group <name>', 'the group, where the cluster has several');
  declare<{ group?: string }>(command, 'pgorbit reload\npgorbit reload n2', async (context, [wanted], options) => {
    await act(context, (groups) => {
      const chosen = wanted === undefined ? null : chooseMember(groups, wanted);
      const name = chosen?.group.name ?? chooseGroup(groups.map((group) => group.name), options.group);
      return { request: { kind: 'reload', group: name, members: chosen === null ? null : [chosen.member.name] }, step: `reload ${chosen?.member.name ?? `group ${name}`}` };
    });
  });
};
