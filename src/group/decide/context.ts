/** What a decision about a group looks at, and the few questions that every rule asks of it. */
import type { EventDraft } from '../../observe/event.ts';
import { NO_TERM } from './quorum.ts';
import type { ArchiveReport, Goal, GroupRecord, GroupSpec, MemberRecord, MemberReport, WalPosition } from '../model.ts';
import type { SiteView } from './site-view.ts';

/** A report and when it came, on the decider's monotonic clock. */
export interface Seen {
  report: MemberReport;
  /** ms */
  at: number;
}

/** When each named condition began to hold, ms; carried from one decision to the next, lost with the decider. */
export type Timers = Readonly<Record<string, number>>;

export interface DecisionInput {
  spec: GroupSpec;
  record: GroupRecord | null;
  seen: Readonly<Record<string, Seen>>;
  /** ms, monotonic */
  now: number;
  timers: Timers;
  /** Addresses of the hosts that the spec names. */
  addresses: Readonly<Record<string, string>>;
  /** How long this decider has led, ms: what an earlier one granted may hold until it has led longer than that. */
  leaderFor: number;
  /** Each member's own bytes as a share of the data, where known. */
  exclusiveShare: Readonly<Record<string, number>>;
  /** What the agent of the host that archives said last, while that is fresh. */
  archive?: ArchiveReport | null;
  /** The site that the cluster is, where there is another; null: it is on its own. */
  site: SiteView | null;
}

export interface Decision {
  record: GroupRecord | null;
  timers: Timers;
  events: EventDraft[];
}

/**
 * How long a report that was taken lets the primary's agent believe that nobody else was promoted, ms, counted from when
 * it was sent. Then it stops its postgres (local storage).
 */
export const leaseMs = (spec: GroupSpec): number => 0.8 * spec.electionTimeoutMs;
/** After this much silence the lease is over, and whoever obeyed it has stopped, ms. */
export const leaseOverMs = (spec: GroupSpec): number => 0.95 * spec.electionTimeoutMs;

/** A report older than this says nothing of the present. */
export const FRESH_MS = 3_000;

export class Context {
  readonly input: DecisionInput;
  record: GroupRecord;
  readonly events: EventDraft[] = [];
  readonly #timers: Record<string, number> = {};

  constructor(input: DecisionInput, record: GroupRecord) {
    this.input = input;
    this.record = record;
  }

  get spec(): GroupSpec {
    return this.input.spec;
  }

  /** The member's report while it is fresh. */
  report(member: string): MemberReport | null {
    const seen = this.input.seen[member];
    return seen !== undefined && this.input.now - seen.at <= FRESH_MS ? seen.report : null;
  }

  /** How long nothing was heard of the member's agent, ms; by this decider, so that a new one begins at its own beginning. */
  silence(member: string): number {
    const seen = this.input.seen[member];
    return seen === undefined ? this.input.leaderFor : this.input.now - seen.at;
  }

  member(name: string): MemberRecord {
    const found = this.record.members[name];
    if (found === undefined) throw new Error(`no member ${name} in the record of ${this.record.group}`);
    return found;
  }

  /** How long `condition` has held, ms; it counts from the first decision that saw it hold, and starts anew when it ceases. */
  heldFor(name: string, condition: boolean): number {
    if (!condition) return 0;
    const since = this.input.timers[name] ?? this.input.now;
    this.#timers[name] = since;
    return this.input.now - since;
  }

  get timers(): Timers {
    return this.#timers;
  }

  change(patch: Partial<GroupRecord>): void {
    this.record = { ...this.record, ...patch };
  }

  changeMember(name: string, patch: Partial<MemberRecord>): void {
    this.change({ members: { ...this.record.members, [name]: { ...this.member(name), ...patch } } });
  }

  tell(event: EventDraft): void {
    this.events.push({ group: this.record.group, operation: this.record.operation?.id ?? null, ...event });
  }
}

/** The manifest names it, and the record knows it. */
export const isIn = (context: Context, name: string): boolean => context.spec.members[name] !== undefined && context.record.members[name] !== undefined;

/** A running standby that has this incarnation's data, which are not being deleted, and could be promoted. */
export function isElectable(context: Context, name: string): boolean {
  const member = context.record.members[name];
  const report = context.report(name);
  return (
    member !== undefined && report !== null && member.role === 'replica' && context.spec.members[name] !== undefined &&
    member.joined && member.goal.kind !== 'remove' && report.incarnation === member.incarnation && report.pid !== null && report.ready && report.inRecovery === true
  );
}

/**
 * It receives WAL from its upstream, and that one agrees: a receiver whose slot was lost calls itself streaming between
 * one failed attempt and the next.
 */
export function streams(context: Context, name: string): boolean {
  const report = context.report(name);
  if (report?.streamingFrom == null) return false;
  const goal = context.record.members[name]?.goal;
  if (goal?.kind === 'follow' && goal.upstream.site !== undefined) return true;
  const followed = followedBy(goal) ?? context.record.primary;
  const upstream = followed === null ? null : context.report(followed);
  const present = new Set([null, NO_TERM, context.record.term]);
  return upstream === null || upstream.followers.some((follower) => follower.name === name && present.has(follower.term));
}

/** The member of this group that the goal has followed, or null: nobody, or somebody of the other site. */
export const followedBy = (goal: Goal | undefined): string | null => (goal?.kind === 'follow' && goal.upstream.site === undefined ? goal.upstream.member : null);

/** Of two positions the one on the later timeline is ahead, as no two promotions begin the same. */
export function comparePositions(a: WalPosition, b: WalPosition): number {
  return a.timeline !== b.timeline ? a.timeline - b.timeline : lsnNumber(a.lsn) - lsnNumber(b.lsn);
}

/** Has whoever is at `own` all up to `wanted`? Without its timeline a position says nothing: one that a later one left has as much WAL, and other. */
export const covers = (own: WalPosition, wanted: WalPosition): boolean => own.timeline === wanted.timeline && lsnNumber(own.lsn) >= lsnNumber(wanted.lsn);

/** The electable members, the one with the most WAL first, then by name. */
export function candidates(context: Context): string[] {
  return Object.keys(context.record.members)
    .filter((name) => isElectable(context, name))
    .sort((a, b) => comparePositions(positionOf(context.report(b)), positionOf(context.report(a))) || a.localeCompare(b));
}

/** What a member has, as its report says. */
export function positionOf(report: MemberReport | null): WalPosition {
  return { timeline: report?.timeline ?? 0, lsn: report?.received ?? report?.lsn ?? '0/0' };
}

/** LSNs as numbers: exact up to 2^53, eight petabytes of WAL; ordering and distances are all that is asked of them. */
export function lsnNumber(text: string | null): number {
  const [high, low] = (text ?? '0/0').split('/');
  return Number.parseInt(high ?? '0', 16) * 2 ** 32 + Number.parseInt(low ?? '0', 16);
}
