/**
 * The deciding agent's loop: what is wanted, recorded and reported goes into decideGroup, and what comes out goes
 * into the store by compare-and-set. Nothing else changes a group's record.
 */
import { randomUUID } from 'node:crypto';
import type { ClusterView } from './documents.ts';
import type { ReportRequest } from './reporter.ts';
import { PgorbitError } from '../errors.ts';
import { FRESH_MS, type DecisionInput, type Seen, type Timers } from '../group/decide/context.ts';
import { isMeant, newsOf } from '../group/news.ts';
import { decideGroup } from '../group/decide/decide.ts';
import { restOfDecider, ROUND_MS } from '../group/decide/rest.ts';
import { acceptRequest } from '../group/decide/request.ts';
import type { SiteView } from '../group/decide/site-view.ts';
import type { ArchiveReport, ClusterSpec, GroupRecord, GroupSpec, OperateRequest } from '../group/model.ts';
import { Bell, type Lifecycle } from '../lifecycle.ts';
import type { EventDraft } from '../observe/event.ts';
import type { Log } from '../observe/log.ts';
import { groupKey, type StateStore } from '../state/store.ts';

/** A compare-and-set that lost is tried again on the newer record this often. */
const TRIES = 5;

export interface DeciderOptions {
  store: StateStore;
  view: ClusterView;
  /** Each member's own bytes as a share of the group's data, where measured. */
  exclusiveShare: (group: string) => Readonly<Record<string, number>>;
  /** The site that the cluster is, as it concerns the group; null: it is on its own. */
  site: (group: string) => SiteView | null;
  tell: (event: EventDraft) => void;
  log: Log;
  /** ms, monotonic */
  now: () => number;
}

/** An agent's newest report, and when it came. */
interface Heard {
  at: number;
  pid: number;
  started: number;
  number: number;
}

/** What an ended agent sent may lie in a socket for as long as its successor needs to start; not longer than this. */
const LATE_AT_MOST_MS = 10_000;

/** A report from before one that was taken: a connection that broke may be read after the one that came in its place. */
function isOvertaken(request: ReportRequest, last: Heard, now: number): boolean {
  if (request.pid === last.pid && request.started === last.started) return request.number <= last.number;
  return request.started < last.started && now - last.at < LATE_AT_MOST_MS;
}

export class Decider {
  readonly #options: DeciderOptions;
  readonly #bell = new Bell();
  /** What was reported last of each group's members. */
  readonly #seen = new Map<string, Record<string, Seen>>();
  /** The same, by group and member, as newsOf() has it. */
  readonly #said = new Map<string, string>();
  readonly #timers = new Map<string, Timers>();
  /** What was said last of each group's archiver, by the host that says it. */
  readonly #archives = new Map<string, Map<string, { report: ArchiveReport; at: number }>>();
  /** The revision of the manifest with which each group was last decided upon, and nothing was left to change. */
  readonly #settled = new Map<string, number>();
  /** When this agent last came to lead, or ceased to. */
  #ledSince = -Infinity;
  /** When each agent last reported, and its process id. */
  readonly agents = new Map<string, Heard>();

  constructor(options: DeciderOptions) {
    this.#options = options;
  }

  start(life: Lifecycle): void {
    life.run('deciding', async (signal) => {
      while (!signal.aborted) {
        if (this.#options.store.leadership().self) await this.#round();
        // forget() rings when this agent comes to lead.
        await this.#bell.wait(this.#options.store.leadership().self ? this.#rest() : Infinity, signal);
      }
    });
  }

  soon(): void {
    this.#bell.ring();
  }

  #rest(): number {
    const { cluster, groups } = this.#options.view;
    if (cluster === null) return ROUND_MS;
    const { spec } = cluster.document;
    return Math.min(ROUND_MS, ...Object.values(spec.groups).map((group) => restOfDecider(this.#input(spec, group, groups.get(group.name)?.record ?? null))));
  }

  /** The leadership changed: what was reported to this agent in an earlier term says nothing now. */
  forget(): void {
    this.#ledSince = this.#options.now();
    this.#seen.clear();
    this.#said.clear();
    this.#timers.clear();
    this.#archives.clear();
    this.#settled.clear();
    this.agents.clear();
    this.#bell.ring();
  }

  /** Takes a host's reports. */
  take(request: ReportRequest): void {
    const at = this.#options.now();
    const last = this.agents.get(request.host);
    if (last !== undefined && isOvertaken(request, last, at)) return;
    this.agents.set(request.host, { at, pid: request.pid, started: request.started, number: request.number });
    let news = false;
    for (const report of request.reports) {
      if (!isMeant(this.#options.view.groups.get(report.group)?.record, report)) continue;
      const seen = this.#seen.get(report.group) ?? {};
      const said = `${report.group}/${report.member}`;
      const text = newsOf(report);
      news ||= this.#said.get(said) !== text;
      this.#said.set(said, text);
      seen[report.member] = { report, at };
      this.#seen.set(report.group, seen);
    }
    for (const report of request.archives ?? []) {
      const said = this.#archives.get(report.group) ?? new Map<string, { report: ArchiveReport; at: number }>();
      this.#archives.set(report.group, said.set(request.host, { report, at }));
    }
    if (news) this.#bell.ring();
  }

  /** What the host that archives the group's WAL says of it, while that is fresh. */
  archive(group: string): ArchiveReport | null {
    const host = this.#options.view.groups.get(group)?.record.archive?.host ?? null;
    const said = host === null ? undefined : this.#archives.get(group)?.get(host);
    return said !== undefined && this.#options.now() - said.at <= FRESH_MS ? said.report : null;
  }

  /** Has the group been decided upon with the manifest in force? */
  settled(group: string): boolean {
    return this.#settled.get(group) === this.#options.view.cluster?.revision;
  }

  seen(group: string): Readonly<Record<string, Seen>> {
    return this.#seen.get(group) ?? {};
  }

  /** Writes a person's request into the group's record. @returns the operation's id. */
  async operate(request: OperateRequest): Promise<string> {
    const spec = this.#spec();
    const group = spec.groups[request.group];
    if (group === undefined) throw new PgorbitError('no-such-group', `cluster ${spec.cluster} has no group ${request.group}`, { hint: `its groups: ${Object.keys(spec.groups).join(', ')}` });
    const id = `${request.kind}-${randomUUID().slice(0, 8)}`;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const current = this.#options.view.groups.get(group.name);
      if (current === undefined) throw new PgorbitError('state-conflict', `group ${group.name} is only being made`, { hint: 'wait until `pgorbit status` shows it' });
      const accepted = acceptRequest(this.#input(spec, group, current.record), current.record, request, id);
      const result = await this.#options.store.compareAndSet(groupKey(group.name), current.revision, accepted.record);
      if (result.ok) {
        for (const event of accepted.events) this.#options.tell(event);
        this.#bell.ring();
        return id;
      }
    }
    throw new PgorbitError('state-conflict', `the record of group ${group.name} keeps changing`, { hint: 'try again in a moment' });
  }

  #spec(): ClusterSpec {
    const { cluster } = this.#options.view;
    if (cluster === null) throw new PgorbitError('state-conflict', 'this cluster has no manifest yet', { hint: 'pgorbit up' });
    return cluster.document.spec;
  }

  async #round(): Promise<void> {
    const { view, log } = this.#options;
    if (view.cluster === null || view.cluster.document.stopped) return;
    for (const group of Object.values(view.cluster.document.spec.groups)) {
      try {
        await this.#decide(view.cluster.document.spec, group);
      } catch (error) {
        log.error({ err: error, group: group.name }, 'deciding about the group failed');
      }
    }
  }

  async #decide(spec: ClusterSpec, group: GroupSpec): Promise<void> {
    const { view, store, tell } = this.#options;
    const revision = view.cluster?.revision ?? 0;
    const current = view.groups.get(group.name);
    const before = current?.record ?? null;
    const decision = decideGroup(this.#input(spec, group, before));
    this.#timers.set(group.name, decision.timers);
    if (decision.record === null || JSON.stringify(decision.record) === JSON.stringify(before)) {
      this.#settled.set(group.name, revision);
      return;
    }
    const result = await store.compareAndSet(groupKey(group.name), current?.revision ?? 0, decision.record);
    // Someone else was quicker: the next round looks at what it wrote.
    this.#bell.ring();
    if (!result.ok) return;
    for (const event of decision.events) tell(event);
  }

  #input(spec: ClusterSpec, group: GroupSpec, record: GroupRecord | null): DecisionInput {
    return {
      spec: group,
      record,
      seen: this.seen(group.name),
      now: this.#options.now(),
      timers: this.#timers.get(group.name) ?? {},
      leaderFor: this.#options.now() - this.#ledSince,
      addresses: Object.fromEntries(Object.values(spec.hosts).map((host) => [host.name, host.address])),
      exclusiveShare: this.#options.exclusiveShare(group.name),
      archive: this.archive(group.name),
      site: this.#options.site(group.name),
    };
  }
}
