/** In which order a group restarts for changed settings. Pure. */
import { LIMITS } from '../../group/member/configuration.ts';
import type { Change } from '../../manifest/change.ts';

/**
 * Replicas first, except where a limit goes down that a standby must not be below: then the primary has to be first,
 * because a standby takes the lower value only when the primary's WAL has told of it ("Hot Standby").
 */
export function primaryFirst(changes: readonly Change[], group: string): boolean {
  return changes.some((change) => {
    if (!change.setting || change.name !== group) return false;
    const limit = LIMITS.find(([name]) => name === change.field);
    if (limit === undefined) return false;
    const [, , standard] = limit;
    return Number(change.after ?? standard) < Number(change.before ?? standard);
  });
}
