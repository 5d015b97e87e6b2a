/**
 * The simulation notices when a safety rule is missing: each is taken out, one at a time. Rules of effects are switches
 * of the model; rules of the decision are taken out by wrapping it.
 */
import { describe, expect, it } from 'vitest';
import { anyLoggerWillDo, crashedPrimaryComesBackAsItIs, electsByTheOldSetAlone, everybodyCounts, everyPositionIsTheSame, namesAreForEver, oneVoteElects, onlyTheFirstPredecessor, removedPredecessorsGoAtOnce, votersChangeAtOnce } from './bites.ts';
import { runSeed, type RunOptions } from './run.ts';

const SEEDS = 400;

type Wanted = Omit<RunOptions, 'seed'>;

/** Runs seeds until one breaks one of `rules`. @returns that rule, or null. */
function firstBroken(options: Wanted, rules: string[]): string | null {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { violation } = runSeed({ peace: false, ...options, seed });
    if (violation !== null && rules.includes(violation.rule)) return violation.rule;
  }
  return null;
}

const LOST = ['lost-commit'];
const shared: Wanted = { topology: 'shared-async' };
const quorum: Wanted = { topology: 'local-quorum' };
/** An old primary that cannot be told, and goes on just when the voters promise. */
const deposed: Wanted = { ...quorum, faults: ['depose', 'replay-conflict'] };
const partitioned: Wanted = { ...quorum, faults: ['freeze-primary-host', 'isolate-primary', 'minority', 'replay-conflict'] };

describe('without', () => {
  it.each<[string, Wanted, string[]]>([
    ['the fence, two write at once', { ...shared, rules: { fence: false } }, ['two-writers']],
    ['replay to the last record, commits are lost', { ...shared, rules: { replay: false } }, LOST],
    ['the fence mark, a superseded candidate goes on', { ...shared, rules: { fenceMark: false }, freezeIn: 'take-over', faults: ['kill-primary', 'freeze-agent'] }, ['two-writers']],
    // Either of the two alone is enough: a server needs longer to accept writes than its agent to look again.
    ['the cgroup and the second look at the mark, a start that is under way slips through behind the fence', { ...shared, rules: { cgroup: false, markAgain: false }, freezeIn: 'start', faults: ['kill-primary', 'kill-any'] }, ['two-writers', 'lost-commit']],
    ['compare-and-set, writers of the record overwrite each other', { ...shared, rules: { compareAndSet: false }, wishes: 'hectic', faults: ['kill-primary'] }, ['term-back', 'two-primaries', 'two-writers', 'lost-commit']],
    ['a new incarnation, the files of a crash are used again', { ...shared, decide: crashedPrimaryComesBackAsItIs }, ['reused-data']],
    ['fencing failed candidates, two write at once', { ...shared, decide: onlyTheFirstPredecessor, freezeIn: 'take-over', faults: ['kill-primary', 'kill-any', 'start-fails'] }, ['two-writers', 'timeline-twice', 'lost-commit']],
    ["removing a member's files once, a host that has not heard removes those of a namesake", { ...shared, rules: { removeOnce: false }, faults: ['namesake'] }, ['foreign-files']],
    // A second line of defence: files are removed once, and then still not while another host uses them.
    ['that and sparing files in use, they go while their server runs', { ...shared, rules: { removeOnce: false, sparesUsed: false }, faults: ['namesake'] }, ['deleted-running']],
    ['keeping whom a promotion reads from, commits are deleted', { ...shared, decide: removedPredecessorsGoAtOnce, wishes: 'edits', faults: ['kill-primary', 'crash-primary-host'] }, ['deleted-commit']],
  ])('%s', (_, options, rules) => {
    expect(rules).toContain(firstBroken(options, rules));
  }, 120_000);

  it.each<[string, Wanted, string[]]>([
    ['the lease, two write at once', { topology: 'local-async', rules: { lease: false } }, ['two-writers']],
    ['the promise before the position, what was acknowledged in between is lost', { ...deposed, faults: ['depose'], rules: { promiseFirst: false } }, LOST],
    ['the cut, acknowledgements go on after the promise', { ...deposed, rules: { promiseCuts: false } }, LOST],
    ['a majority of promises, a commit is on nobody who was asked', { ...partitioned, decide: oneVoteElects }, LOST],
    ['the highest position, the wrong one is promoted', { ...partitioned, decide: everyPositionIsTheSame }, LOST],
    ['catch-up, a candidate lacks what another has', { ...partitioned, rules: { catchUp: false } }, LOST],
    ['the timeline in the catch-up, one with as much WAL of another is promoted', { ...quorum, rules: { catchUpTimeline: false }, faults: ['unheard'] }, LOST],
    ['runners that end when the role changes, a logger is run as a replica', { ...quorum, rules: { runnerByRole: false }, faults: ['namesake'], peace: true }, ['liveness']],
    ['the WAL of a primary that was stopped, a switchover loses its end', { ...quorum, rules: { wholeWal: false }, wishes: 'switchovers', faults: ['replay-conflict'] }, LOST],
    ['timelines of their own, two promotions begin the same', { ...quorum, rules: { ownTimelines: false }, freezeIn: 'take-over', faults: ['kill-primary', 'isolate-primary', 'crash-primary-host'] }, ['timeline-twice', 'diverged']],
    ['changes that are recorded, voters change at once', { ...quorum, decide: votersChangeAtOnce, wishes: 'edits' }, ['voters']],
    ['asking both sets, the old one alone elects', { ...quorum, decide: electsByTheOldSetAlone, wishes: 'edits', faults: ['freeze-primary-host', 'isolate-primary'] }, LOST],
    ['putting diverged members right, they start with WAL of their own', { ...quorum, decide: crashedPrimaryComesBackAsItIs }, ['reused-data']],
    // Either of the two alone is enough: an agent that knows the newest orders makes the promise once more.
    ['durable promises and orders known to be the newest, a loss of power lets an old primary go on', { ...quorum, rules: { promiseDurable: false, current: false }, faults: ['depose'] }, LOST],
    ['slots for loggers, one that comes back is counted twice', { ...quorum, rules: { slotForLoggers: false }, faults: ['bridge'] }, LOST],
    // Either of the two alone is enough: what a copy with its WAL lacks, a logger that came before it has.
    ["a look at where loggers' WAL begins and copies with theirs, a standby never streams", { ...quorum, decide: anyLoggerWillDo, rules: { copyWithWal: false }, wishes: 'loggers', faults: ['kill-any'], peace: true }, ['liveness']],
    ['names that carry the term, one that follows by old orders counts for the same primary of later', { ...quorum, decide: namesAreForEver, faults: ['forgotten'] }, ['false-word']],
    ['proof that its WAL fits, one that missed the election counts by its first words', { ...quorum, decide: everybodyCounts, faults: ['forgotten'] }, ['false-word']],
    ['flushing first, a loss of power takes what was acknowledged', { ...quorum, rules: { flushFirst: false }, faults: ['blackout', 'disks-slow'] }, LOST],
  ])('%s', (_, options, rules) => {
    expect(rules).toContain(firstBroken(options, rules));
  }, 120_000);
});
