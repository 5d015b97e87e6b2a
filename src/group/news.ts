/** Whether a report says something that anybody should hear of at once. Pure. */
import { HEARD_MS } from './decide/promotion.ts';
import type { MemberReport } from './model.ts';

/**
 * The same text for reports that differ in nothing that somebody waits for: how long the upstream has been silent counts
 * only once it has been for long, and then every time.
 */
export const newsOf = ({ heardMs, ...rest }: MemberReport): string => JSON.stringify([rest, heardMs !== null && heardMs >= HEARD_MS ? heardMs : null]);
