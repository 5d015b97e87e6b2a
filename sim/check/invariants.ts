/** Safety: what must hold at every step. The model calls this at each moment that could break it. */
import type { GroupRecord } from '../../src/group/model.ts';
import { Violation } from '../kernel/violation.ts';
import type { Server } from '../model/server.ts';
import type { Stream } from '../model/stream.ts';
import type { Wal, WalRecord } from '../model/wal.ts';
import { ASIDE, type Folder } from '../world/disks.ts';
import type { World } from '../world/world.ts';

/** A commit that its client was told of, and where in the WAL it is. */
interface Acknowledged {
  record: WalRecord;
  at: number;
  /** Of the primary that told. */
  term: number;
}

export class Invariants {
  readonly #world: World;
  readonly acknowledged: Acknowledged[] = [];
  readonly #timelines = new Map<number, string>();
  readonly #primaries = new Map<number, string>();
  #record: GroupRecord | null = null;

  constructor(world: World) {
    this.#world = world;
  }

  /** Without a quorum, storage of its own loses what was not replicated yet: that is what `async` means. */
  get #mayLose(): boolean {
    const { storage, commit } = this.#world.spec;
    return storage === 'local' && commit === 'async';
  }

  /** A server begins to accept writes: alone, and with everything that was ever acknowledged. */
  opened(server: Server): void {
    this.alone(server);
    this.#complete(server, 'accepts writes');
  }

  /** What primaries of later terms have acknowledged is not asked of one that was superseded and does not know it. */
  #complete(server: Server, what: string): void {
    if (this.#mayLose) return;
    const own = server.folder.marker.term;
    const missing = this.acknowledged.filter(({ record, at, term }) => term <= own && server.data.wal[at] !== record);
    if (missing.length > 0) {
      throw new Violation('lost-commit', `${server.member} ${what} without ${missing.length} acknowledged commits (${missing.slice(0, 5).map(({ record }) => record.commit).join(', ')})`);
    }
  }

  /**
   * No other accepts writes. On local storage nobody can stop a server whose agent is dead or stands still, or is told
   * to go on without a majority; what keeps that harmless is that it acknowledges nothing.
   */
  alone(server: Server): void {
    for (const other of this.#world.disks.servers) {
      if (other === server || !other.open || this.#unattended(other) || this.#unattended(server)) continue;
      throw new Violation('two-writers', `${server.member} accepts writes while ${other.member} still does`);
    }
  }

  #unattended(server: Server): boolean {
    const { storage, withoutMajority } = this.#world.spec;
    if (storage === 'shared') return false;
    return withoutMajority === 'run' || !this.#world.attended(server.host) || server.process.frozen;
  }

  /** Commits are released by what these say: all of it has to be this primary's own WAL. */
  counted(server: Server, followers: readonly Stream[]): void {
    for (const { name, flushed, has } of followers) {
      if (flushed !== null && flushed > 0 && server.data.wal[flushed - 1] !== has) throw new Violation('false-word', `${name} counts for ${server.member}'s commits up to ${flushed}, and has other WAL there`);
    }
  }

  /** A promotion takes a timeline that no other has: PostgreSQL would not notice the difference between two. */
  timelineMade(timeline: number, member: string): void {
    const before = this.#timelines.get(timeline);
    if (before !== undefined) throw new Violation('timeline-twice', `${member} makes timeline ${timeline}, which ${before} has made`);
    this.#timelines.set(timeline, member);
  }

  /** WAL is read on from where the own one ends, and has to be its continuation. */
  continues(member: string, own: Wal, source: Wal): void {
    if (source[own.length - 1] !== own.at(-1)) throw new Violation('diverged', `${member} goes on from WAL that is not its own: a timeline was made twice`);
  }

  /**
   * A crashed primary's data are not started again behind a successor's back: they come back as a new clone, unless
   * they are to take over from that successor.
   */
  serverStarts(server: Server): void {
    const { disks, spec } = this.#world;
    const successor = disks.servers.find((one) => one !== server && one.open);
    if (successor === undefined) return;
    const goal = this.#world.goalOf(server.member);
    // An agent that has just come back may start a standby by old orders; new ones will find it.
    if (this.#record?.primary !== successor.member || this.#world.viewOf(server.host)?.term !== this.#record.term) return;
    if (spec.storage === 'local') this.#startsDiverged(server, successor, goal);
    else if (server.data.torn && server.folder.fenced !== null && goal !== 'promote') {
      throw new Violation('reused-data', `${server.member} starts on data that a crash left and ${successor.member} took over`);
    }
  }

  /** Who accepted writes before and was succeeded does not start as it is with what its successor lacks. */
  #startsDiverged(server: Server, successor: Server, goal: string | null): void {
    if (goal !== 'follow' || !server.data.torn || !server.data.standbySignal) return;
    const { wal } = server.data;
    const last = wal.length - 1;
    if (last < successor.data.wal.length ? successor.data.wal[last] !== wal[last] : true) {
      throw new Violation('reused-data', `${server.member} starts as it is, with WAL that ${successor.member} does not have`);
    }
  }

  recordWritten(record: GroupRecord): void {
    const before = this.#record;
    this.#record = record;
    if (before !== null && record.term < before.term) throw new Violation('term-back', `the record's term goes from ${before.term} back to ${record.term}`);
    this.#voters(before, record);
    if (record.primary === null) return;
    const earlier = this.#primaries.get(record.term);
    if (earlier !== undefined && earlier !== record.primary) throw new Violation('two-primaries', `term ${record.term} has two primaries: ${earlier} and ${record.primary}`);
    this.#primaries.set(record.term, record.primary);
  }

  /** One voter at a time, and only by a change that was recorded. The primary's own vote leaves its configuration as it is. */
  #voters(before: GroupRecord | null, { voters, voterChange, primary }: GroupRecord): void {
    const others = (names: readonly string[]): string[] => names.filter((name) => name !== primary);
    const differ = (one: readonly string[], other: readonly string[]): number => one.filter((name) => !other.includes(name)).length + other.filter((name) => !one.includes(name)).length;
    if (voterChange !== null && differ(voters, voterChange.to) > 1) throw new Violation('voters', `the voters change from ${voters.join()} to ${voterChange.to.join()} at once`);
    const was = before?.voters ?? [];
    const asked = before?.voterChange?.to ?? was;
    if (differ(others(was), others(voters)) > 0 && differ(others(asked), others(voters)) > 0) throw new Violation('voters', `${was.join()} become ${voters.join()} without a change`);
  }

  /** A folder is about to be deleted for good. */
  deleted(folder: Folder, what: string): void {
    if (folder.data === null) return;
    if (this.#world.disks.serverIn(folder) !== undefined) throw new Violation('deleted-running', `${what} is deleted under its running server`);
    this.#lastCopies(folder, 0, what);
  }

  /** A member goes, and a host deletes its files: those that it made, and not what a namesake has made elsewhere since. */
  removed(folder: Folder, member: string, host: string): void {
    this.deleted(folder, member);
    if (folder.host !== host) throw new Violation('foreign-files', `${host} removes the files of ${member}, which ${folder.host} has made`);
  }

  /** A folder's WAL is about to be cut off at `from`. */
  truncated(folder: Folder, from: number, what: string): void {
    this.#lastCopies(folder, from, what);
  }

  #lastCopies(folder: Folder, from: number, what: string): void {
    const own = folder.data?.wal ?? [];
    if (this.#mayLose) return;
    const others = [...this.#world.disks.folders].filter(([name, one]) => one !== folder && !name.includes(ASIDE) && one.data !== null && one.marker.incarnation > 0).map(([, one]) => one.data!.wal);
    const lost = this.acknowledged.filter(({ record, at }) => at >= from && own[at] === record && !others.some((wal) => wal[at] === record));
    if (lost.length > 0) throw new Violation('deleted-commit', `${what} loses ${lost.length} acknowledged commits that nobody else holds`);
  }

  /** A client is told that its commit is done: from now on every later primary has to have it. */
  acknowledge(server: Server, record: WalRecord, at: number): void {
    const { term } = server.folder.marker;
    this.acknowledged.push({ record, at, term });
    if (this.#world.spec.storage === 'shared') this.alone(server);
    if (this.#mayLose) return;
    for (const other of this.#world.disks.servers) {
      if (other.open && other.folder.marker.term > term && other.data.wal[at] !== record) {
        throw new Violation('lost-commit', `${server.member} acknowledges commit ${record.commit}, which ${other.member} accepts writes without`);
      }
    }
  }
}
