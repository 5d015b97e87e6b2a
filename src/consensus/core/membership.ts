/** Membership and majorities, as functions of plain data. */
import type { Conf, ConfChange } from './types.ts';

/** The membership after `change`, or null when the change makes no sense there (and then is skipped by everyone alike). */
export function changeConf(conf: Conf, change: ConfChange): Conf | null {
  const voter = conf.voters.includes(change.id);
  const learner = conf.learners.includes(change.id);
  const without = (list: string[]): string[] => list.filter((id) => id !== change.id);
  switch (change.op) {
    case 'add-learner':
      return voter || learner ? null : { voters: conf.voters, learners: [...conf.learners, change.id].sort() };
    case 'promote':
      return learner ? { voters: [...conf.voters, change.id].sort(), learners: without(conf.learners) } : null;
    case 'remove':
      // The last voter stays: a group of none could never decide anything again.
      if (voter && conf.voters.length === 1) return null;
      return voter || learner ? { voters: without(conf.voters), learners: without(conf.learners) } : null;
  }
}

export const members = (conf: Conf): string[] => [...conf.voters, ...conf.learners];

/** The highest value that a majority of the voters has reached. -Infinity without voters. */
export function majorityValue(conf: Conf, valueOf: (id: string) => number): number {
  const values = conf.voters.map(valueOf).sort((a, b) => b - a);
  return values[Math.floor(values.length / 2)] ?? -Infinity;
}

export type VoteResult = 'won' | 'lost' | 'pending';

export function countVotes(conf: Conf, votes: ReadonlyMap<string, boolean>): VoteResult {
  const need = Math.floor(conf.voters.length / 2) + 1;
  const granted = conf.voters.filter((id) => votes.get(id) === true).length;
  const refused = conf.voters.filter((id) => votes.get(id) === false).length;
  if (granted >= need) return 'won';
  return refused > conf.voters.length - need ? 'lost' : 'pending';
}
