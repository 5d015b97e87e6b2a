/** Whether a report says something, and what of it anybody should hear of at once. Pure. */
import { HEARD_MS } from './decide/promotion.ts';
import type { GroupRecord, MemberReport } from './model.ts';

/**
 * The same text for reports that differ in nothing that somebody waits for: how long the upstream has been silent counts
 * only once it has been for long, and then every time.
 */
export const newsOf = ({ heardMs, ...rest }: MemberReport): string => JSON.stringify([rest, heardMs !== null && heardMs >= HEARD_MS ? heardMs : null]);

/** Is it of the member that the record means? A host that has not heard goes on telling of one that has a namesake elsewhere by now. */
export function isMeant(record: GroupRecord | null | undefined, { member, host }: Pick<MemberReport, 'member' | 'host'>): boolean {
  const meant = record?.members[member];
  return meant === undefined || meant.host === host;
}
