/**
 * A group's life as a table: each rule looks at the record and the reports, and either changes the record or lets the
 * next one look. The first that changes something ends the round; the next round sees the changed record.
 */
import type { Context } from './context.ts';
import { archive } from './archive.ts';
import { admit, amend, created, diverged, forget, joined, rebuild, recloneNeeded } from './members.ts';
import { elect } from './election.ts';
import { operationRules } from './operations.ts';
import { primaryDown, primarySilent, promoted, promotionFailed } from './promotion.ts';
import { settleVoters } from './voters.ts';

export interface Rule {
  name: string;
  /** True when it changed the record. */
  apply: (context: Context) => boolean;
}

export const RULES: Rule[] = [
  // The first member has made the database system: it is the primary of term 1.
  { name: 'created', apply: created },
  // The manifest names a member that is not there yet, and there is a primary to take it from.
  { name: 'admit', apply: admit },
  // A member is on a new port, host address or role by the manifest.
  { name: 'amend', apply: amend },
  // A member that the manifest no longer names is gone.
  { name: 'forget', apply: forget },
  // Local storage: enough have promised the term, so that whoever has the most WAL is known.
  { name: 'elect', apply: elect },
  // The candidate accepts writes in this term: it is the primary.
  { name: 'promoted', apply: promoted },
  // The candidate died, failed or takes too long: the next one, or the old primary again.
  { name: 'promotion-failed', apply: promotionFailed },
  // The primary's postgres is down and nothing here asked for it: restart it, or promote another.
  { name: 'primary-down', apply: primaryDown },
  // Neither the primary's agent nor the primary is heard of: another takes over.
  { name: 'primary-silent', apply: primarySilent },
  // A member is healthy for the first time since it was made.
  { name: 'joined', apply: joined },
  // A member has WAL that the present timeline does not have: it is put right before it follows.
  { name: 'diverged', apply: diverged },
  // One more member votes, or one less, or the last such change is confirmed.
  { name: 'voters', apply: settleVoters },
  // A replica can't follow: it is made anew.
  { name: 'rebuild', apply: rebuild },
  ...operationRules,
  // A replica occupies more than its share of the volume: it is cloned again, when nothing else is under way.
  { name: 'reclone-needed', apply: recloneNeeded },
  // WAL is to be archived: one host does it, from whoever has it; another one when that host is lost or can't.
  { name: 'archive', apply: archive },
];
