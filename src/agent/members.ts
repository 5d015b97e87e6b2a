/** The members that live on this host: a runner for each, with the orders that the documents hold. */
import type { ClusterView } from './documents.ts';
import type { HostVolumes } from './volumes.ts';
import { findEngine, type Engine } from '../engine/find.ts';
import type { OsUser } from '../engine/osuser.ts';
import type { ClusterSpec, GroupRecord, MemberRecord, MemberReport } from '../group/model.ts';
import type { Orders } from '../group/member/member.ts';
import { placeOf } from '../group/member/place.ts';
import { MemberRunner } from '../group/member/runner.ts';
import { Lifecycle } from '../lifecycle.ts';
import type { EventDraft } from '../observe/event.ts';
import type { Log } from '../observe/log.ts';
import { rotateLog } from '../observe/rotate.ts';

export interface HostMembersOptions {
  home: string;
  host: string;
  user: OsUser | null;
  view: ClusterView;
  volumes: HostVolumes;
  log: Log;
  tell: (event: EventDraft) => void;
  /** A member's report changed. */
  onReport: () => void;
}

interface Running {
  runner: MemberRunner;
  life: Lifecycle;
}

export class HostMembers {
  readonly #options: HostMembersOptions;
  readonly #running = new Map<string, Running>();
  #engine: { wanted: string; found: Engine } | null = null;
  #updating: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: HostMembersOptions) {
    this.#options = options;
  }

  get engine(): Engine | null {
    return this.#engine?.found ?? null;
  }

  reports(): MemberReport[] {
    return [...this.#running.values()].map(({ runner }) => runner.report());
  }

  /** The place of a member of this host, or null. */
  runner(group: string, member: string): MemberRunner | null {
    return this.#running.get(`${group}/${member}`)?.runner ?? null;
  }

  /** Brings runners in line with the documents; calls queue up. */
  update(): Promise<void> {
    this.#updating = this.#updating.then(() => this.#update());
    return this.#updating;
  }

  async #update(): Promise<void> {
    const { view, host, log } = this.#options;
    if (this.#stopped || view.cluster === null || view.secrets === null) return;
    const { spec, stopped } = view.cluster.document;
    const wanted = new Set<string>();
    for (const { record } of view.groups.values()) {
      for (const member of Object.values(record.members)) {
        if (member.host !== host) continue;
        const key = `${record.group}/${member.name}`;
        wanted.add(key);
        try {
          await this.#obey(key, spec, record, member, stopped);
        } catch (error) {
          log.error({ err: error, member: member.name }, 'the member cannot be run');
          this.#options.tell({ level: 'error', kind: 'member-error', group: record.group, member: member.name, message: `${member.name} cannot be run on ${host}: ${(error as Error).message}` });
        }
      }
    }
    for (const [key, { life }] of this.#running) {
      if (wanted.has(key)) continue;
      this.#running.delete(key);
      await life.stop();
    }
  }

  async #obey(key: string, spec: ClusterSpec, record: GroupRecord, member: MemberRecord, stopped: boolean): Promise<void> {
    const group = spec.groups[record.group];
    if (group === undefined) return;
    const orders: Orders = {
      engine: await this.#findEngine(spec),
      goal: stopped && member.goal.kind !== 'remove' ? { kind: 'stop' } : member.goal, term: record.term, record: member, spec: group, systemIdentifier: record.systemIdentifier,
      addresses: [...new Set(Object.values(spec.hosts).map((one) => one.address))].sort(),
    };
    const running = this.#running.get(key);
    if (running !== undefined) {
      running.runner.obey(orders);
      return;
    }
    const { home, host, user, volumes, view, log, tell, onReport } = this.#options;
    if (view.cluster === null || view.secrets === null || group.volume === null) return;
    const volume = await volumes.open(group.volume);
    const place = placeOf({
      home, volume: volume.path, cluster: spec.cluster, clusterId: view.cluster.document.id, group: group.name, member: member.name, host,
    });
    const runner = new MemberRunner(place, { user, volume, secrets: view.secrets, log: log.child({ member: member.name }), tell }, orders, onReport);
    const life = new Lifecycle((error, what) => log.error({ err: error, what }, 'a member failed in the background'));
    life.every(60_000, 'log rotation', async () => {
      await rotateLog(place.logFile);
    });
    runner.start(life);
    this.#running.set(key, { runner, life });
  }

  async #findEngine(spec: ClusterSpec): Promise<Engine> {
    const wanted = JSON.stringify(spec.engine);
    if (this.#engine?.wanted !== wanted) this.#engine = { wanted, found: await findEngine(spec.engine, this.#options.home) };
    return this.#engine.found;
  }

  /** Ends the runners; with `halt` also their postgres, cleanly. */
  async stop(halt: boolean): Promise<void> {
    this.#stopped = true;
    await this.#updating;
    const all = [...this.#running.values()];
    await Promise.all(all.map(({ life }) => life.stop()));
    if (halt) await Promise.all(all.map(({ runner }) => runner.halt()));
  }
}
