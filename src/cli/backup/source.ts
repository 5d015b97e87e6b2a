/** From whom a backup or an archive comes: members as status shows them. Pure. */
import type { GroupStatus, MemberStatus } from '../../agent/api.ts';
import { PgorbitError } from '../../errors.ts';

/** `primary`, `replica` (the one that lags least) or a member's name. Throws `no-such-member`, `unsafe`. */
export function chooseSource(group: GroupStatus, wanted: string): MemberStatus {
  const running = group.members.filter((member) => (member.role === 'primary' || member.role === 'replica' || member.role === 'standby') && member.pid !== null && member.state !== 'failed');
  if (wanted === 'replica') {
    const [best] = running.filter((member) => member.role === 'replica').sort((a, b) => (a.lagBytes ?? Infinity) - (b.lagBytes ?? Infinity));
    if (best !== undefined) return best;
    throw new PgorbitError('no-such-member', `group ${group.name} has no replica that runs`, { hint: '--source primary copies the primary' });
  }
  const name = wanted === 'primary' ? group.primary : wanted;
  const known = group.members.find((member) => member.name === name);
  if (known === undefined && wanted !== 'primary') throw new PgorbitError('no-such-member', `group ${group.name} has no member ${wanted}`, { hint: `its members are: ${group.members.map((member) => member.name).join(', ')}` });
  if (known?.role === 'logger') throw new PgorbitError('no-such-member', `${known.name} is a logger: it holds no data to back up`, { hint: 'name a replica, or the primary' });
  const found = running.find((member) => member.name === name);
  if (found === undefined) throw new PgorbitError('unsafe', `${name ?? 'a primary'} of group ${group.name} does not run`, { hint: 'see `pgorbit status`; --source names another member' });
  return found;
}

/** Whose WAL is archived: the primary's, or with `logger` that of the first logger which runs. Null while there is none. */
export function chooseWalSource(group: GroupStatus, wanted: 'primary' | 'logger'): MemberStatus | null {
  const found = wanted === 'primary' ? group.members.find((member) => member.name === group.primary) : group.members.find((member) => member.role === 'logger' && member.pid !== null);
  return found ?? null;
}
