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
import { proven } from './proof.ts';
import { demoted, leaderLost, learnTimelines, takeOverSite } from './standby-site.ts';
import { settleVoters } from './voters.ts';

/** The rules of the moment: a standby site has its own, and while a site hands over nothing new begins in its groups. */
export function rulesFor(context: Context): readonly Rule[] {
  const { site } = context.input;
  if (site?.role === 'standby' || context.record.standbySite === true) return STANDBY_SITE_RULES;
  return site?.handOver == null ? RULES : HAND_OVER_RULES;
}

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
  // A member is on the primary's timeline, whatever it did at the last promotion: it counts for commits.
  { name: 'proven', apply: proven },
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

const named = (...names: string[]): Rule[] => RULES.filter((rule) => names.includes(rule.name));

/** Of a group whose namesake on the other site accepts the writes. Nobody is elected, and nobody votes. */
export const STANDBY_SITE_RULES: Rule[] = [
  // The other site is the primary one: nobody here accepts writes any more.
  { name: 'demoted', apply: demoted },
  // This site is the primary one: the group gets a primary.
  { name: 'take-over-site', apply: takeOverSite },
  ...named('admit', 'amend', 'forget'),
  // The other site has begun timelines since.
  { name: 'timelines', apply: learnTimelines },
  // The member that follows the other site is lost: another does.
  { name: 'leader-lost', apply: leaderLost },
  ...named('joined', 'proven', 'diverged', 'rebuild', 'restart', 'reclone'),
];

/** A promotion that is under way comes to its end; nothing is restarted, and nobody takes over. */
const HAND_OVER_RULES: Rule[] = named('created', 'amend', 'forget', 'elect', 'promoted', 'promotion-failed', 'joined', 'proven', 'diverged');
