/** The members that live on this host: a runner for each, with the orders that the documents hold. */
import type { Departure, StatusDocument } from './api.ts';
import type { ClusterView } from './documents.ts';
import { leaving, mustBeFree, secretsAfter } from './leaving.ts';
import { PgorbitError, type ErrorReport } from '../errors.ts';
import type { HostVolumes } from './volumes.ts';
import { dirname } from 'node:path';
import { findEngine, type Engine } from '../engine/find.ts';
import type { OsUser } from '../engine/osuser.ts';
import { leaseMs } from '../group/decide/context.ts';
import { LoggerRunner } from '../group/logger/runner.ts';
import type { ClusterSpec, Goal, GroupRecord, GroupSpec, MemberRecord, MemberReport, WalPosition } from '../group/model.ts';
import type { Orders } from '../group/member/member.ts';
import { clearDrill, drill, type DrillCheck, type DrillResult } from '../group/member/drill.ts';
import { PartedRunner } from '../group/member/parted-runner.ts';
import { partedFrom, type NewOwner } from '../group/member/parted.ts';
import { part } from '../group/member/steps/part.ts';
import { placeOf, type Place } from '../group/member/place.ts';
import { MemberRunner } from '../group/member/runner.ts';
import { volumeOf } from '../group/on-volume.ts';
import type { LocalMember } from '../group/views/feed.ts';
import { holdWal, releaseArchived, showViews, type Upkeep } from './upkeep.ts';
import { volumeMemberDir } from '../home.ts';
import { Lifecycle, sleep } from '../lifecycle.ts';
import type { EventDraft } from '../observe/event.ts';
import type { Log } from '../observe/log.ts';
import { rotateLog } from '../observe/rotate.ts';
import type { Volume } from '../volume/volume.ts';

/** From an agent's start until its members run, or cannot. */
const BEGIN_MS = 10_000;
const BEGIN_POLL_MS = 50;

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
  /** ms since this agent wrote the newest report that an agent which led has taken. */
  takenMsAgo: () => number;
  /** The other site is the primary one by now, and the documents do not say so yet. */
  superseded: () => boolean;
}

/** What runs a member, whatever its role. */
interface Runner {
  start(life: Lifecycle): void;
  obey(orders: Orders): void;
  /** Something outside the member has changed that its next step may depend on. */
  look(): void;
  halt(): Promise<void>;
  report(): MemberReport;
}

/** A namesake may have come of which this host did not hear that it is another: with data where there was only WAL, or the other way round. */
const isFor = (runner: Runner, { role }: MemberRecord): boolean => runner instanceof PartedRunner || runner instanceof LoggerRunner === (role === 'logger');

/** What is to be removed is removed, whatever else is stopped. */
const goalOf = ({ goal }: MemberRecord, stopped: boolean): Goal => (stopped && goal.kind !== 'remove' ? { kind: 'stop' } : goal);

interface Running {
  place: Place;
  upkeep: Upkeep;
  /** As its runner last saw it. */
  leased: boolean;
  /** It began to become another cluster's, and why it does nothing here but to be removed: what it was made into may not be taken for this one's. */
  leaves: ErrorReport | null;
  runner: Runner;
  life: Lifecycle;
}

export class HostMembers {
  readonly #options: HostMembersOptions;
  readonly #running = new Map<string, Running>();
  readonly #began = performance.now();
  #engine: { wanted: string; found: Engine } | null = null;
  #updating: Promise<void> = Promise.resolve();
  #stopped = false;
  #current = false;
  /** How far each group's WAL is archived, as the agent that leads said last. */
  readonly #archived = new Map<string, WalPosition>();
  readonly #drills = new Set<string>();
  /** Ends departures and drills with the agent. */
  readonly #parting = new AbortController();

  constructor(options: HostMembersOptions) {
    this.#options = options;
  }

  get engine(): Engine | null {
    return this.#engine?.found ?? null;
  }

  reports(): MemberReport[] {
    return [...this.#running.values()].map(({ runner, leaves }) => (leaves === null ? runner.report() : { ...runner.report(), error: leaves }));
  }

  /** The data directories of this host's running PostgreSQL members: one that is being copied is no place for a file of ours. */
  dataFolders(): LocalMember[] {
    return [...this.#running.values()].filter(({ runner }) => runner instanceof MemberRunner && runner.member.postmaster !== null).map(({ place }) => ({ group: place.group, member: place.member, dataDir: place.dataDir }));
  }

  /** Members of this host that left, and whose their data are now. */
  parted(): { group: string; member: string; owner: NewOwner }[] {
    return [...this.#running.values()].flatMap(({ runner, place: { group, member } }) => (runner instanceof PartedRunner ? [{ group, member, owner: runner.owner }] : []));
  }

  /** What members need from time to time, and no step towards a goal waits for. */
  async lookAfter(): Promise<void> {
    await Promise.all([...this.#running].map(async ([key, { upkeep }]) => {
      try {
        await upkeep();
      } catch (error) {
        this.#options.log.warn({ err: error, member: key }, 'looking after the member failed');
      }
    }));
  }

  /** The status of all, as the agent that leads tells it now and then. */
  archived({ groups }: StatusDocument): void {
    for (const { name, archive } of groups) {
      if (archive?.timeline != null && archive.lsn !== null) this.#archived.set(name, { timeline: archive.timeline, lsn: archive.lsn });
    }
  }

  /** True while a member here needs the lease: the leading agent has to hear of it more often. */
  get leases(): boolean {
    const { view, host } = this.#options;
    return [...view.groups.values()].some(({ record }) => {
      const holder = record.members[record.primary ?? record.promotion?.candidate ?? ''];
      return holder?.host === host && view.cluster?.document.spec.groups[record.group]?.storage === 'local';
    });
  }

  /** The documents are the newest that a majority knows of: what waited for that may be done. */
  nowCurrent(): void {
    this.#current = true;
    this.look();
  }

  /** Something that all of them depend on has changed. */
  look(): void {
    for (const { runner } of this.#running.values()) runner.look();
  }

  /**
   * Looks at the lease: members act on its end at once, not at their next round.
   * @returns after how many ms it may have ended; Infinity: there is none, or nobody who lives by it.
   */
  watchLease(): number {
    let left = Infinity;
    for (const running of this.#running.values()) {
      const leftHere = this.#leaseLeft(running.place.group);
      const leased = leftHere > 0;
      if (leased) left = Math.min(left, leftHere);
      if (leased === running.leased) continue;
      running.leased = leased;
      running.runner.look();
    }
    return left;
  }

  #leased(group: string): boolean {
    return this.#leaseLeft(group) > 0;
  }

  /** An agent that was killed leaves its primary running: the next one stops it when it stays unanswered for a lease, not before it could have been answered. */
  #justBegun(group: string): boolean {
    const spec = this.#options.view.cluster?.document.spec.groups[group];
    return this.#options.takenMsAgo() === Infinity && spec !== undefined && performance.now() - this.#began < leaseMs(spec);
  }

  /** ms; not above 0: it is over. */
  #leaseLeft(group: string): number {
    const spec = this.#options.view.cluster?.document.spec.groups[group];
    return spec === undefined ? 0 : leaseMs(spec) - this.#options.takenMsAgo();
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
      goal: goalOf(member, stopped), term: record.term, record: member, spec: group, systemIdentifier: record.systemIdentifier,
      addresses: [...new Set([...Object.values(spec.hosts).map((one) => one.address), ...(this.#options.view.site?.document.peer.addresses ?? [])])].sort(),
    };
    const running = this.#running.get(key);
    if (running?.leaves != null) orders.goal = goalOf(member, true);
    if (running !== undefined && isFor(running.runner, member)) {
      running.runner.obey(orders);
      return;
    }
    if (running !== undefined) {
      this.#running.delete(key);
      await running.life.stop();
    }
    const { user, view, log, tell, onReport } = this.#options;
    if (view.cluster === null || view.secrets === null) return;
    const { place, volume } = await this.#settle(spec, view.cluster.document.id, group, member);
    const environment = { user, volume, secrets: view.secrets, log: log.child({ member: member.name }), tell, leased: () => this.#leased(record.group), justBegun: () => this.#justBegun(record.group), superseded: this.#options.superseded, current: () => this.#current };
    let runner: Runner;
    let upkeep: Upkeep;
    const parted = await partedFrom(place);
    // A standby is put right as any other: nobody elects it.
    const leaves = parted !== null && !parted.done && member.role !== 'standby' ? leaving(member.name, parted.owner) : null;
    if (leaves !== null) {
      orders.goal = goalOf(member, true);
      tell({ level: 'warning', kind: 'leaving', group: record.group, member: member.name, message: `${leaves.message}: ${leaves.hint}` });
    }
    if (parted?.done) {
      upkeep = async () => undefined;
      runner = new PartedRunner(place, parted.owner, orders, onReport);
    } else if (member.role === 'logger') {
      const logger = new LoggerRunner(place, environment, orders, onReport);
      upkeep = holdWal(logger);
      runner = logger;
    } else {
      const postgres = new MemberRunner(place, environment, orders, onReport);
      const views = showViews(postgres);
      upkeep = async () => {
        await releaseArchived(postgres, this.#archived.get(record.group) ?? null);
        await views();
      };
      runner = postgres;
      // What a drill left when its agent died.
      if (member.role === 'standby') await clearDrill(postgres.member);
    }
    const life = new Lifecycle((error, what) => log.error({ err: error, what }, 'a member failed in the background'));
    life.every(60_000, 'log rotation', async () => {
      await rotateLog(place.logFile);
    });
    runner.start(life);
    this.#running.set(key, { place, upkeep, leased: false, leaves, runner, life });
  }

  /**
   * A member becomes the beginning of the cluster `owner`: a standby, or where this cluster has lost its majority any copy of the
   * data. From the first moment on nothing runs it but this; when it fails before it is promoted the member goes on as before.
   * @throws `no-such-member`, `usage` for a member that can't, `unsafe`, and what its server throws.
   */
  async part(group: string, name: string, owner: NewOwner): Promise<Departure> {
    const key = `${group}/${name}`;
    const running = await this.#begun(group, name);
    if (running === undefined) throw new PgorbitError('no-such-member', `${name} of group ${group} does not run on ${this.#options.host}`);
    const { place, runner, life } = running;
    const { secrets } = this.#options.view;
    const record = this.#options.view.groups.get(group)?.record;
    const member = record?.members[name];
    // No member runs before they are known.
    if (secrets === null || member === undefined) throw new PgorbitError('internal', `${name} runs, and its cluster's documents do not say how`);
    if (runner instanceof LoggerRunner) throw new PgorbitError('usage', `${name} is a logger: it has WAL, and no data`);
    if (runner instanceof MemberRunner) {
      await mustBeFree(this.#options.view, group, member, () => this.#leased(group), this.#parting.signal);
      await life.stop();
      try {
        await part(runner.member, { owner, primary: record?.primary === name, replication: secretsAfter(secrets, member.role, owner).replication }, this.#parting.signal);
      } finally {
        await runner.member.release();
        this.#running.delete(key);
        await this.update();
      }
    }
    const parted = await partedFrom(place);
    if (parted === null || parted.owner.cluster !== owner.cluster) {
      throw new PgorbitError('unsafe', `${name} became the cluster ${parted?.owner.cluster ?? ''} before`, { hint: `pgorbit promote ${name} --as ${parted?.owner.cluster ?? ''}` });
    }
    return { parted, secrets: secretsAfter(secrets, member.role, parted.owner), dir: place.dir, inHome: place.dir.startsWith(`${place.homeDir}/`) };
  }

  /** An agent that has just begun may not run a member yet that its documents name, or will in a moment. */
  async #begun(group: string, name: string): Promise<Running | undefined> {
    const { host, view } = this.#options;
    for (const end = performance.now() + BEGIN_MS; ; await sleep(BEGIN_POLL_MS, this.#parting.signal)) {
      const running = this.#running.get(`${group}/${name}`);
      const elsewhere = view.cluster !== null && view.cluster.document.spec.groups[group]?.members[name]?.host !== host;
      if (running !== undefined || elsewhere || this.#stopped || performance.now() > end) return running;
    }
  }

  /**
   * Rehearses the promotion of a standby on a copy; one at a time a standby.
   * @throws `no-such-member`, `usage`, `state-conflict` while another drill runs, and as drill()
   */
  async drill(group: string, name: string, checks: readonly DrillCheck[], database: string, signal: AbortSignal): Promise<DrillResult> {
    const key = `${group}/${name}`;
    const runner = this.#running.get(key)?.runner;
    if (!(runner instanceof MemberRunner)) throw new PgorbitError('no-such-member', `${name} of group ${group} does not run on ${this.#options.host}`);
    if (runner.member.orders.record.role !== 'standby') throw new PgorbitError('usage', `${name} is no standby`);
    if (runner.member.observation?.inRecovery !== true) throw new PgorbitError('unsafe', `${name} does not run: there is nothing to copy`, { hint: '`pgorbit status` shows how far it is' });
    if (this.#drills.has(key)) throw new PgorbitError('state-conflict', `a drill of ${name} is under way`, { hint: 'wait for its end' });
    this.#drills.add(key);
    try {
      const result = await drill(runner.member, checks, database, AbortSignal.any([signal, this.#parting.signal]));
      runner.member.tell({ level: 'info', kind: 'drill', message: `a copy of ${name} accepted writes after ${result.seconds.answered.toFixed(1)} s, with everything up to ${result.point.lsn}` });
      return result;
    } finally {
      this.#drills.delete(key);
    }
  }

  /** Where the member lives: on the group's volume, or in a folder of its own, which may lie on another volume. */
  async #settle(spec: ClusterSpec, clusterId: string, group: GroupSpec, member: MemberRecord): Promise<{ place: Place; volume: Volume }> {
    const { home, host, volumes } = this.#options;
    const input = { home, cluster: spec.cluster, clusterId, group: group.name, member: member.name, host };
    const wanted = group.members[member.name];
    const name = volumeOf(group, member);
    if (name !== null) {
      const volume = await volumes.open(name);
      if (wanted?.volume == null) return { volume, place: placeOf({ ...input, volume: volume.path }) };
      return { volume, place: placeOf({ ...input, volume: null, own: volumeMemberDir(volume.path, spec.cluster, group.name, member.name) }) };
    }
    const place = placeOf({ ...input, volume: null, own: wanted?.path ?? null });
    return { place, volume: await volumes.openFolder(dirname(place.dir)) };
  }

  async #findEngine(spec: ClusterSpec): Promise<Engine> {
    const wanted = JSON.stringify(spec.engine);
    if (this.#engine?.wanted !== wanted) this.#engine = { wanted, found: await findEngine(spec.engine, this.#options.home) };
    return this.#engine.found;
  }

  /** Ends the runners; with `halt` also their postgres, cleanly. */
  async stop(halt: boolean): Promise<void> {
    this.#stopped = true;
    this.#parting.abort();
    await this.#updating;
    const all = [...this.#running.values()];
    await Promise.all(all.map(({ life }) => life.stop()));
    if (halt) await Promise.all(all.map(({ runner }) => runner.halt()));
  }
}
