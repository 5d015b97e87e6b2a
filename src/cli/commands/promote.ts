import { PgorbitError } from '../../errors.ts';
import { act } from '../act.ts';
import type { Define } from '../command.ts';
import { chooseMember } from '../plan/names.ts';

export const define: Define = (command, declare) => {
  command
    .argument('<member>', 'the member that becomes the primary, or group/member')
    .option('--force', 'yes: the old primary is fenced for good, and comes back as a replica by a new clone');
  declare<{ force?: boolean }>(command, 'pgorbit promote n2 --force', async (context, [wanted = ''], options) => {
    await act(context, (groups) => {
      const { group, member } = chooseMember(groups, wanted);
      if (options.force !== true) {
        throw new PgorbitError('unsafe', `promoting ${member.name} by hand fences ${group.primary ?? 'the old primary'} for good: it comes back as a replica by a new clone`, {
          hint: `if ${group.primary ?? 'the old primary'} is dead: pgorbit promote ${wanted} --force; if it lives: pgorbit switchover --to ${wanted}`,
        });
      }
      return { request: { kind: 'promote', group: group.name, member: member.name, force: true }, step: `promote ${member.name}` };
    });
  });
};
