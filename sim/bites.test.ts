/** The simulation notices when a safety rule is missing: each is taken out, one at a time. */
import { describe, expect, it } from 'vitest';
import type { Decision, DecisionInput } from '../src/group/decide/context.ts';
import { decideGroup } from '../src/group/decide/decide.ts';
import type { GroupRecord } from '../src/group/model.ts';
import { runSeed, type RunOptions } from './run.ts';

const SEEDS = 400;

/** Runs seeds until one breaks one of `rules`. @returns that rule, or null. */
function firstBroken(options: Omit<RunOptions, 'seed'>, rules: string[]): string | null {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { violation } = runSeed({ ...options, seed });
    if (violation !== null && rules.includes(violation.rule)) return violation.rule;
  }
  return null;
}

/** decideGroup with its record changed before it is written. */
const changed = (change: (before: GroupRecord, after: GroupRecord) => GroupRecord) => (input: DecisionInput): Decision => {
  const decision = decideGroup(input);
  if (input.record === null || decision.record === null) return decision;
  return { ...decision, record: change(input.record, decision.record) };
};

const onlyTheFirstPredecessor = changed((_, after) => (after.promotion === null ? after : { ...after, promotion: { ...after.promotion, predecessors: after.promotion.predecessors.slice(0, 1) }, members: Object.fromEntries(Object.entries(after.members).map(([name, member]) => [name, member.goal.kind === 'promote' ? { ...member, goal: { ...member.goal, predecessors: member.goal.predecessors.slice(0, 1) } } : member])) }));

const crashedPrimaryComesBackAsItIs = changed((before, after) => {
  const { promotion } = before;
  if (promotion === null || after.promotion !== null) return after;
  const members = { ...after.members };
  for (const { member } of promotion.predecessors) {
    const old = before.members[member];
    if (old !== undefined && members[member] !== undefined) members[member] = { ...members[member], incarnation: old.incarnation };
  }
  return { ...after, members };
});

const removedPredecessorsGoAtOnce = (input: DecisionInput): Decision => changed((_, after) => ({
  ...after,
  members: Object.fromEntries(Object.entries(after.members).map(([name, member]) => [name, member.goal.kind === 'stop' && after.promotion !== null && input.spec.members[name] === undefined ? { ...member, goal: { kind: 'remove' as const } } : member])),
}))(input);

const TWO = ['h1', 'h2'];

describe('without', () => {
  it.each<[string, Omit<RunOptions, 'seed'>, string[]]>([
    ['the fence, two write at once', { rules: { fence: false } }, ['two-writers']],
    ['replay to the last record, commits are lost', { rules: { replay: false } }, ['lost-commit']],
    ['the fence mark, a superseded candidate goes on', { rules: { fenceMark: false }, freezeIn: 'take-over' }, ['two-writers']],
    // Either of the two alone is enough: a server needs longer to accept writes than its agent to look again.
    ['the cgroup and the second look at the mark, a start that is under way slips through behind the fence', { rules: { cgroup: false, markAgain: false }, freezeIn: 'start' }, ['two-writers']],
    ['compare-and-set, two deciders overwrite each other', { rules: { compareAndSet: false }, deciders: TWO }, ['term-back', 'two-primaries', 'two-writers', 'lost-commit']],
    ['a new incarnation, the files of a crash are used again', { decide: crashedPrimaryComesBackAsItIs }, ['reused-data']],
    ['fencing failed candidates, two write at once', { decide: onlyTheFirstPredecessor }, ['two-writers', 'timeline-twice', 'lost-commit']],
    ['keeping whom a promotion reads from, commits are deleted', { decide: removedPredecessorsGoAtOnce }, ['deleted-commit']],
  ])('%s', (_, options, rules) => {
    expect(rules).toContain(firstBroken(options, rules));
  }, 120_000);
});
