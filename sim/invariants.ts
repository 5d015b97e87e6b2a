/** What must hold at every moment, asked where something could break it. */
import type { GroupRecord } from '../src/group/model.ts';
import { ASIDE, type Data, type Folder } from './model-volume.ts';
import type { ModelPostgres } from './model-postgres.ts';
import { Violation } from './violation.ts';
import type { World } from './world.ts';

export class Invariants {
  readonly #world: World;
  /** Commits that clients were told of. */
  readonly acknowledged = new Set<number>();
  readonly #timelines = new Map<number, string>();
  readonly #primaries = new Map<number, string>();
  #term = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** A server begins to accept writes: alone, and with everything that was ever acknowledged. */
  opened(server: ModelPostgres): void {
    this.alone(server);
    const missing = lacking(server.data, this.acknowledged);
    if (missing.length > 0) {
      throw new Violation('lost-commit', `${server.member} accepts writes without ${missing.length} acknowledged commits (${missing.slice(0, 5).join(', ')})`);
    }
  }

  alone(server: ModelPostgres): void {
    const other = this.#world.volume.servers.find((one) => one !== server && one.open);
    if (other !== undefined) throw new Violation('two-writers', `${server.member} accepts writes while ${other.member} still does`);
  }

  /** A promotion takes a timeline that no other has: PostgreSQL would not notice the difference between two. */
  timelineMade(timeline: number, member: string): void {
    const before = this.#timelines.get(timeline);
    if (before !== undefined) throw new Violation('timeline-twice', `${member} makes timeline ${timeline}, which ${before} has made`);
    this.#timelines.set(timeline, member);
  }

  /**
   * A crashed primary's data are not started again behind a successor's back: they come back as a new clone, unless
   * they are to take over from that successor.
   */
  serverStarts(server: ModelPostgres): void {
    const successor = this.#world.volume.servers.find((one) => one !== server && one.open);
    const goal = this.#world.goalOf(server.member);
    if (server.data.torn && server.folder.fenced !== null && successor !== undefined && goal !== 'promote') {
      throw new Violation('reused-data', `${server.member} starts on data that a crash left and ${successor.member} took over`);
    }
  }

  recordWritten(record: GroupRecord): void {
    if (record.term < this.#term) throw new Violation('term-back', `the record's term goes from ${this.#term} back to ${record.term}`);
    this.#term = record.term;
    if (record.primary === null) return;
    const before = this.#primaries.get(record.term);
    if (before !== undefined && before !== record.primary) throw new Violation('two-primaries', `term ${record.term} has two primaries: ${before} and ${record.primary}`);
    this.#primaries.set(record.term, record.primary);
  }

  /** A folder is about to be deleted for good. */
  deleted(folder: Folder, what: string): void {
    if (folder.data === null) return;
    if (this.#world.volume.serverIn(folder) !== undefined) throw new Violation('deleted-running', `${what} is deleted under its running server`);
    const others = [...this.#world.volume.folders].filter(([name, one]) => one !== folder && !name.includes(ASIDE) && one.data !== null && one.marker.incarnation > 0)
      .map(([, one]) => new Set(one.data!.wal.map((record) => record.commit)));
    const lost = folder.data.wal.filter(({ commit }) => commit !== null && this.acknowledged.has(commit) && !others.some((other) => other.has(commit)));
    if (lost.length > 0) throw new Violation('deleted-commit', `${what} is deleted, and nothing else holds ${lost.length} acknowledged commits`);
  }

  acknowledge(server: ModelPostgres, commit: number): void {
    this.alone(server);
    this.acknowledged.add(commit);
  }
}

function lacking(data: Data, wanted: Set<number>): number[] {
  const there = new Set(data.wal.map(({ commit }) => commit));
  return [...wanted].filter((commit) => !there.has(commit));
}
