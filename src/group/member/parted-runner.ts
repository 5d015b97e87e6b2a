/** Stands where a member was that became a cluster of its own: says so, runs nothing, and leaves its data alone. */
import { rm } from 'node:fs/promises';
import type { Lifecycle } from '../../lifecycle.ts';
import type { MemberReport } from '../model.ts';
import type { Orders } from './member.ts';
import type { NewOwner } from './parted.ts';
import type { Place } from './place.ts';
import { reportOf } from './report.ts';

export class PartedRunner {
  readonly place: Place;
  readonly owner: NewOwner;
  readonly #publish: (report: MemberReport) => void;
  #orders: Orders;
  #life: Lifecycle | null = null;
  #gone = false;

  constructor(place: Place, owner: NewOwner, orders: Orders, publish: (report: MemberReport) => void) {
    this.place = place;
    this.owner = owner;
    this.#orders = orders;
    this.#publish = publish;
  }

  start(life: Lifecycle): void {
    this.#life = life;
    this.look();
  }

  obey(orders: Orders): void {
    this.#orders = orders;
    this.look();
  }

  /** Once the manifest no longer names the member, its log and small files go; the data are another cluster's. */
  look(): void {
    this.#publish(this.report());
    if (this.#orders.goal.kind !== 'remove' || this.#gone) return;
    this.#life?.run('forgetting a member that left', async () => {
      await rm(this.place.homeDir, { recursive: true, force: true });
      this.#gone = true;
      this.#publish(this.report());
    });
  }

  async halt(): Promise<void> {
    // Nothing runs here.
  }

  report(): MemberReport {
    const { cluster, clusterId } = this.owner;
    const { member } = this.place;
    const bare = reportOf({
      place: this.place, orders: this.#orders, facts: null, observation: null, pid: null, step: null, doing: null, failures: 0, systemIdentifier: this.#orders.systemIdentifier, history: null,
      error: { code: 'not-ours', message: `${member} left this cluster: its data are those of the cluster ${cluster} now (id ${clusterId})`, hint: `pgorbit remove ${member}` },
    });
    // Like one whose data are gone: it is replaced where it was the primary, and sure to write no more here.
    const left = { ...bare, empty: true, promised: { term: this.#orders.term, timeline: 0, lsn: '0/0' } };
    if (this.#orders.goal.kind !== 'remove') return { ...left, state: 'failed' };
    return { ...left, state: this.#gone ? 'removed' : 'removing', error: null };
  }
}
