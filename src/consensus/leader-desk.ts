/** What the leader does for the agents that ask it. Every answer that is not final is `again`: the asker decides how long to go on. */
import type { Driver, Outcome } from './driver.ts';
import type { ConfChange } from './core/types.ts';
import type { Answer, Ask } from './wire.ts';

/** Entries that a learner may lack and still be made a voter: with more, the group could wait for it to commit. */
const CAUGHT_UP = 32;

const again = (why: string): Answer => ({ kind: 'again', why });

export class LeaderDesk {
  readonly #self: string;
  readonly #driver: Pick<Driver, 'status' | 'propose' | 'proposeConf' | 'transfer'>;

  constructor(self: string, driver: Pick<Driver, 'status' | 'propose' | 'proposeConf' | 'transfer'>) {
    this.#self = self;
    this.#driver = driver;
  }

  async serve(ask: Ask): Promise<Answer> {
    if (this.#driver.status().role !== 'leader') return again('not the leader');
    switch (ask.op) {
      case 'propose': return fromOutcome(await this.#driver.propose(ask.data));
      case 'member': return this.#changeMember(ask.change);
      case 'transfer': return this.#transfer(ask.to);
    }
  }

  async #changeMember(change: ConfChange): Promise<Answer> {
    const { conf, progress, lastIndex } = this.#driver.status();
    const voter = conf.voters.includes(change.id);
    const learner = conf.learners.includes(change.id);
    switch (change.op) {
      case 'add-learner':
        if (voter || learner) return { kind: 'done' };
        break;
      case 'promote': {
        if (voter) return { kind: 'done' };
        if (!learner) return { kind: 'refused', why: `${change.id} is not a learner of this group: add it first` };
        const match = progress.find(({ id }) => id === change.id)?.match ?? 0;
        if (lastIndex - match > CAUGHT_UP) return again(`${change.id} has ${match} of ${lastIndex} entries`);
        break;
      }
      case 'remove':
        if (!voter && !learner) return { kind: 'done' };
        if (voter && conf.voters.length === 1) return { kind: 'refused', why: `${change.id} is the last voter of this group` };
        if (change.id === this.#self) return this.#handOver();
    }
    return fromOutcome(await this.#driver.proposeConf(change));
  }

  /** Before the leader is removed, the voter that has most takes over, and then removes it. */
  async #handOver(): Promise<Answer> {
    const { conf, progress } = this.#driver.status();
    const [best] = progress.filter(({ id }) => id !== this.#self && conf.voters.includes(id)).sort((a, b) => b.match - a.match);
    if (best !== undefined) await this.#driver.transfer(best.id);
    return again('the leader hands over first');
  }

  async #transfer(to: string): Promise<Answer> {
    if (to === this.#self) return { kind: 'done' };
    if (!this.#driver.status().conf.voters.includes(to)) return { kind: 'refused', why: `${to} is not a voter of this group` };
    return (await this.#driver.transfer(to)) ? { kind: 'done' } : again('another hand-over is under way');
  }
}

function fromOutcome(outcome: Outcome): Answer {
  if (outcome.kind === 'again') return again(outcome.why);
  return outcome.result === null ? { kind: 'done' } : { kind: 'cas', result: outcome.result };
}
