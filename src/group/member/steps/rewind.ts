/** Putting a member's data right instead of copying them anew: what it wrote beyond the fork is taken back. */
import { PgorbitError, toReport } from '../../../errors.ts';
import type { Member } from '../member.ts';

/** Where it cannot be done, nothing has been changed, and the next look has the data copied anew. */
export async function rewindMember(member: Member, _signal: AbortSignal): Promise<void> {
  const { place, orders } = member;
  if (orders.goal.kind !== 'follow') throw new PgorbitError('internal', `${place.member} is rewound without anybody to follow`);
  member.rewindFailedFor = orders.record.incarnation;
  const why = toReport(new PgorbitError('operation-failed', 'not built yet')).message;
  member.tell({ level: 'warning', kind: 'rewind-impossible', message: `${place.member} can't be rewound (${why}): it is copied anew` });
}
