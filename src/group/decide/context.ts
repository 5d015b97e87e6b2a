/** What a decision about a group looks at, and the few questions that every rule asks of it. */
import type { EventDraft } from '../../observe/event.ts';
import type { GroupRecord, GroupSpec, MemberRecord, MemberReport } from '../model.ts';

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
  /** Each member's own bytes as a share of the data, where known. */
  exclusiveShare: Readonly<Record<string, number>>;
}

export interface Decision {
  record: GroupRecord | null;
  timers: Timers;
  events: EventDraft[];
}

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

/** A running standby that has this incarnation's data and could be promoted. */
export function isElectable(context: Context, name: string): boolean {
  const member = context.record.members[name];
  const report = context.report(name);
  return (
    member !== undefined && report !== null && member.role === 'replica' && context.spec.members[name] !== undefined &&
    member.joined && report.incarnation === member.incarnation && report.pid !== null && report.ready && report.inRecovery === true
  );
}

/**
 * It receives WAL from the primary, and the primary agrees: a receiver whose slot was lost calls itself streaming
 * between one failed attempt and the next.
 */
export function streams(context: Context, name: string): boolean {
  const report = context.report(name);
  if (report?.streamingFrom == null) return false;
  const primary = context.record.primary === null ? null : context.report(context.record.primary);
  return primary === null || primary.followers.some((follower) => follower.name === name);
}

/** The electable members, the one with the most WAL first, then by name. */
export function candidates(context: Context): string[] {
  return Object.keys(context.record.members)
    .filter((name) => isElectable(context, name))
    .sort((a, b) => comparePositions(context.report(b), context.report(a)) || a.localeCompare(b));
}

function comparePositions(a: MemberReport | null, b: MemberReport | null): number {
  const byTimeline = (a?.timeline ?? 0) - (b?.timeline ?? 0);
  return byTimeline !== 0 ? byTimeline : lsnValue(a) - lsnValue(b);
}

/** LSNs as numbers: exact up to 2^53, eight petabytes of WAL; ordering is all that is asked of it. */
function lsnValue(report: MemberReport | null): number {
  const text = report?.received ?? report?.lsn;
  if (!text) return 0;
  const [high, low] = text.split('/');
  return Number.parseInt(high ?? '0', 16) * 2 ** 32 + Number.parseInt(low ?? '0', 16);
}
