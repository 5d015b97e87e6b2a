/**
 * The simulation notices when a safety rule is missing: each is taken out, one at a time. Rules of effects are switches
 * of the model; rules of the decision are taken out by wrapping it.
 */
import { describe, expect, it } from 'vitest';
import { crashedPrimaryComesBackAsItIs, electsByTheOldSetAlone, everyPositionIsTheSame, oneVoteElects, onlyTheFirstPredecessor, removedPredecessorsGoAtOnce, votersChangeAtOnce, withoutCompareAndSet } from './bites.ts';
import { runSeed, type RunOptions } from './run.ts';

const SEEDS = 400;

type Wanted = Omit<RunOptions, 'seed'>;

/** Runs seeds until one breaks one of `rules`. @returns that rule, or null. */
function firstBroken(options: Wanted, rules: string[]): string | null {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { violation } = runSeed({ ...options, seed, peace: false });
    if (violation !== null && rules.includes(violation.rule)) return violation.rule;
  }
  return null;
}

const LOST = ['lost-commit'];
const shared: Wanted = { topology: 'shared-async' };
const quorum: Wanted = { topology: 'local-quorum' };

describe('without', () => {
  it.each<[string, Wanted, string[]]>([
    ['the fence, two write at once', { ...shared, rules: { fence: false } }, ['two-writers']],
    ['replay to the last record, commits are lost', { ...shared, rules: { replay: false } }, LOST],
    ['the fence mark, a superseded candidate goes on', { ...shared, rules: { fenceMark: false }, freezeIn: 'take-over' }, ['two-writers']],
    // Either of the two alone is enough: a server needs longer to accept writes than its agent to look again.
    ['the cgroup and the second look at the mark, a start that is under way slips through behind the fence', { ...shared, rules: { cgroup: false, markAgain: false }, freezeIn: 'start' }, ['two-writers']],
    ['compare-and-set, writers of the record overwrite each other', { ...shared, ...withoutCompareAndSet }, ['term-back', 'two-primaries', 'two-writers', 'lost-commit']],
    ['a new incarnation, the files of a crash are used again', { ...shared, decide: crashedPrimaryComesBackAsItIs }, ['reused-data']],
    ['fencing failed candidates, two write at once', { ...shared, decide: onlyTheFirstPredecessor }, ['two-writers', 'timeline-twice', 'lost-commit']],
    ['keeping whom a promotion reads from, commits are deleted', { ...shared, decide: removedPredecessorsGoAtOnce }, ['deleted-commit']],
  ])('%s', (_, options, rules) => {
    expect(rules).toContain(firstBroken(options, rules));
  }, 120_000);

  it.each<[string, Wanted, string[]]>([
    ['the lease, two write at once', { topology: 'local-async', rules: { lease: false } }, ['two-writers']],
    ['the promise before the position, what was acknowledged in between is lost', { ...quorum, rules: { promiseFirst: false } }, LOST],
    ['the cut, acknowledgements go on after the promise', { ...quorum, rules: { promiseCuts: false } }, LOST],
    ['durable promises, a member comes back to its old primary', { ...quorum, rules: { promiseDurable: false } }, LOST],
    ['a majority of promises, a commit is on nobody who was asked', { ...quorum, decide: oneVoteElects }, LOST],
    ['the highest position, the wrong one is promoted', { ...quorum, decide: everyPositionIsTheSame }, LOST],
    ['catch-up, a candidate lacks what a logger has', { ...quorum, rules: { catchUp: false } }, LOST],
    ['timelines of their own, two promotions begin the same', { ...quorum, rules: { ownTimelines: false } }, ['timeline-twice', 'diverged']],
    ['waiting for the new voters, commits are on too few of them', { ...quorum, decide: votersChangeAtOnce, wishes: 'edits' }, LOST],
    ['asking both sets, the old one alone elects', { ...quorum, decide: electsByTheOldSetAlone, wishes: 'edits' }, LOST],
    ['putting diverged members right, they start with WAL of their own', { ...quorum, decide: crashedPrimaryComesBackAsItIs }, ['reused-data']],
    ['slots for loggers, one is counted twice', { ...quorum, rules: { slotForLoggers: false } }, LOST],
    ['flushing first, a loss of power takes what was acknowledged', { ...quorum, rules: { flushFirst: false } }, LOST],
    ['dropping reports that were overtaken, voters change by old news', { ...quorum, rules: { reportsInOrder: false }, wishes: 'edits' }, ['voters', 'lost-commit', 'two-primaries']],
  ])('%s', (_, options, rules) => {
    expect(rules).toContain(firstBroken(options, rules));
  }, 120_000);
});
