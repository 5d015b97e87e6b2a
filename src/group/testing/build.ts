/** Specs, records and reports for tests: a healthy group of members n1 (primary), n2, n3, each to be changed in place. */
import type { DecisionInput, Seen } from '../decide/context.ts';
import { decideGroup } from '../decide/decide.ts';
import { GROUP } from '../../manifest/defaults.ts';
import { acceptRequest } from '../decide/request.ts';
import type { ArchiveReport, GroupRecord, GroupSpec, MemberRecord, MemberReport, MemberSpec, OperateRequest } from '../model.ts';

export const memberSpec = (name: string, patch: Partial<MemberSpec> = {}): MemberSpec => ({ name, host: 'h1', role: name === 'n1' ? 'primary' : 'replica', port: 5431 + Number(name.slice(1)), volume: null, path: null, source: null, rate: null, ...patch });

export function specOf(names: string[], patch: Partial<GroupSpec> = {}): GroupSpec {
  return {
    ...GROUP, name: 'main', volume: 'main', settings: {}, recloneAbove: 0.5,
    members: Object.fromEntries(names.map((name) => [name, memberSpec(name)])), ...patch,
  };
}

export const memberRecord = (name: string, patch: Partial<MemberRecord> = {}): MemberRecord => ({
  name, host: 'h1', address: '127.0.0.1', port: 5431 + Number(name.slice(1)), role: 'replica', incarnation: 1, restarts: 1, reloads: 0, goal: { kind: 'stop' }, joined: true, provenIn: 1, rebuilds: 0, renewal: 'fresh', ...patch,
});

export function reportOn(name: string, patch: Partial<MemberReport> = {}): MemberReport {
  const primary = name === 'n1';
  return {
    group: 'main', member: name, host: 'h1', incarnation: 1, term: 1, empty: false, restarts: 1, state: primary ? 'running' : 'streaming', step: null, pid: 100, ready: true, inRecovery: !primary,
    systemIdentifier: '7', timeline: 1, lsn: '0/100', received: primary ? null : '0/100', streamingFrom: primary ? null : '127.0.0.1:5432', heardMs: primary ? null : 100, oldest: null, retained: {}, followers: [], promised: null, synchronousNames: null, change: null, history: null, lagMs: null, synchronous: false,
    pendingRestart: [], reached: primary ? 'primary' : 'follow', goalTerm: 1, sessions: 0, cleanStop: null, stoppedAt: null, error: null, failures: 0, ...patch,
  };
}

/** A postgres that is gone; `cleanStop` says how. */
export const down = (cleanStop: boolean): Partial<MemberReport> => ({ pid: null, ready: false, inRecovery: null, streamingFrom: null, state: 'stopped', reached: null, cleanStop });

/** A group at a moment, with a clock to turn and reports to change; decide() takes its decision into the record. */
export class Scene {
  spec: GroupSpec;
  record: GroupRecord | null;
  now = 100_000;
  reports: Record<string, MemberReport>;
  timers: DecisionInput['timers'] = {};
  shares: Record<string, number> = {};
  archive: ArchiveReport | null = null;
  site: DecisionInput['site'] = null;
  events: string[] = [];
  /** What the followers have flushed, as the primary sees it. */
  flush: string | null = null;
  /** Who streams from another than the primary, and from whom. */
  cascades: Record<string, string> = {};
  /** Members of whom nothing more is heard: as they were last seen. */
  #quiet: Record<string, Seen> = {};

  constructor(names: string[] = ['n1', 'n2', 'n3']) {
    this.spec = specOf(names);
    this.reports = Object.fromEntries(names.map((name) => [name, reportOn(name)]));
    this.record = {
      group: 'main', systemIdentifier: '7', term: 1, primary: 'n1', promotion: null, voters: [], voterChange: null, voterChanges: 0, timelines: [], operation: null, results: [],
      members: Object.fromEntries(names.map((name) => [name, memberRecord(name)])),
    };
    this.decide();
  }

  input(): DecisionInput {
    const followersOf = (upstream: string | null) => Object.values(this.reports)
      .filter((report) => report.streamingFrom !== null && (this.cascades[report.member] ?? null) === upstream)
      .map(({ member }) => ({ name: member, term: this.record?.term ?? null, replay: null, flush: this.flush, synchronous: false }));
    const seen: Record<string, Seen> = { ...this.#quiet, ...Object.fromEntries(
      Object.entries(this.reports).map(([name, report]) => [name, { report: { ...report, followers: followersOf(report.inRecovery === false ? null : name) }, at: this.now }]),
    ) };
    return { spec: this.spec, record: this.record, seen, now: this.now, timers: this.timers, leaderFor: 100_000, addresses: { h1: '127.0.0.1' }, exclusiveShare: this.shares, archive: this.archive, site: this.site };
  }

  report(name: string, patch: Partial<MemberReport>): this {
    this.reports[name] = { ...(this.reports[name] ?? reportOn(name)), ...patch };
    return this;
  }

  quiet(name: string): this {
    const seen = this.input().seen[name];
    if (seen !== undefined) this.#quiet[name] = seen;
    delete this.reports[name];
    return this;
  }

  /** @returns the record after `afterMs` and a decision. */
  decide(afterMs = 0): GroupRecord {
    this.now += afterMs;
    const decision = decideGroup(this.input());
    this.record = decision.record;
    this.timers = decision.timers;
    this.events = decision.events.map(({ kind }) => kind);
    if (this.record === null) throw new Error('no record was decided');
    return this.record;
  }

  /** Starts an operation as a person would. */
  ask(request: OperateRequest): void {
    if (this.record !== null) ({ record: this.record } = acceptRequest(this.input(), this.record, request, 'op'));
  }

  member(name: string): MemberRecord {
    const member = this.record?.members[name];
    if (member === undefined) throw new Error(`no member ${name}`);
    return member;
  }
}
