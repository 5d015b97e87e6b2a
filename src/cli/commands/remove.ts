import { PgorbitError } from '../../errors.ts';
import type { Define } from '../command.ts';
import { editManifest } from '../edit.ts';
import { chooseMember } from '../plan/names.ts';
import { withoutMembers } from '../plan/shrink.ts';

export const define: Define = (command, declare) => {
  command.argument('<member...>', 'the member, or group/member; several are removed together');
  declare(command, 'pgorbit remove n3', async (context, operands) => {
    // commander gives what a variadic argument collected as one array.
    const wanted = [...new Set(operands.flat() as string[])];
    const outcome = await editManifest(context, { command: `remove ${wanted.join(' ')}` }, ({ text, status }) => {
      const chosen = wanted.map((name) => chooseMember(status.groups, name));
      for (const { group, member } of chosen) {
        if (member.name === group.primary) throw new PgorbitError('remove-primary', `${member.name} is the primary of group ${group.name}: it can't be removed`, { hint: `hand over first: \`pgorbit switchover\`, then \`pgorbit remove ${member.name}\`` });
      }
      return status.groups.reduce((edited, group) => withoutMembers(edited, group.name, chosen.filter((one) => one.group === group).map((one) => one.member.name), group.primary), text);
    });
    context.out.text(`${wanted.join(', ')} ${wanted.length === 1 ? 'is' : 'are'} gone, with slot and files.\n`);
    context.out.document({ removed: wanted, changes: outcome.changes, status: outcome.status });
  });
};
