/** Decisions with a rule taken out of them: decideGroup between a lie about what it sees and a change of what it says. */
import type { Decision, DecisionInput, Seen } from '../src/group/decide/context.ts';
import { decideGroup } from '../src/group/decide/decide.ts';
import type { GroupRecord, MemberReport } from '../src/group/model.ts';

/** Higher than any term. */
const EVER = 999_999;

type Decide = (input: DecisionInput) => Decision;

/** decideGroup with its record changed before it is written. */
const changed = (change: (before: GroupRecord, after: GroupRecord, input: DecisionInput) => GroupRecord): Decide => (input) => {
  const decision = decideGroup(input);
  if (input.record === null || decision.record === null) return decision;
  return { ...decision, record: change(input.record, decision.record, input) };
};

export const onlyTheFirstPredecessor = changed((_, after) => (after.promotion === null ? after : { ...after, promotion: { ...after.promotion, predecessors: after.promotion.predecessors.slice(0, 1) }, members: Object.fromEntries(Object.entries(after.members).map(([name, member]) => [name, member.goal.kind === 'promote' ? { ...member, goal: { ...member.goal, predecessors: member.goal.predecessors.slice(0, 1) } } : member])) }));

export const crashedPrimaryComesBackAsItIs = changed((before, after) => {
  const { promotion } = before;
  if (promotion === null || after.promotion !== null) return after;
  const members = { ...after.members };
  for (const { member } of promotion.predecessors) {
    const old = before.members[member];
    if (old !== undefined && members[member] !== undefined) members[member] = { ...members[member], incarnation: old.incarnation };
  }
  return { ...after, members };
});

export const removedPredecessorsGoAtOnce = changed((_, after, { spec }) => ({
  ...after,
  members: Object.fromEntries(Object.entries(after.members).map(([name, member]) => [name, member.goal.kind === 'stop' && after.promotion !== null && spec.members[name] === undefined ? { ...member, goal: { kind: 'remove' as const } } : member])),
}));

/** In the promise phase with other voters than there are: what comes out keeps the true ones. */
const electing = (voters: (input: DecisionInput, record: GroupRecord) => Pick<GroupRecord, 'voters' | 'voterChange'>): Decide => (input) => {
  const { record } = input;
  if (record?.promotion?.phase !== 'promise') return decideGroup(input);
  const decision = decideGroup({ ...input, record: { ...record, ...voters(input, record) } });
  if (decision.record === null) return decision;
  return { ...decision, record: { ...decision.record, voters: record.voters, voterChange: record.voterChange } };
};

/** One who has promised stands for all. */
export const oneVoteElects = electing(({ seen }, { term, voters, promotion }) => ({
  voters: voters.filter((name) => seen[name]?.report.promised?.term === term && !promotion?.predecessors.some(({ member }) => member === name)).slice(0, 1), voterChange: null,
}));

export const electsByTheOldSetAlone = electing((_, { voters }) => ({ voters, voterChange: null }));

const reporting = (change: (report: MemberReport) => MemberReport): Decide => (input) => decideGroup({
  ...input, seen: Object.fromEntries(Object.entries(input.seen).map(([name, { report, at }]): [string, Seen] => [name, { at, report: change(report) }])),
});

export const everyPositionIsTheSame = reporting((report) => (report.promised === null ? report : { ...report, promised: { ...report.promised, timeline: 1, lsn: '0/0' } }));

/** Whoever follows counts, whatever it did at the election. */
export const everybodyCounts = changed((_, after) => ({
  ...after, members: Object.fromEntries(Object.entries(after.members).map(([name, member]) => [name, member.goal.kind === 'follow' ? { ...member, goal: { ...member.goal, name: `${name}@${after.term}` } } : member])),
}));

/** Those who count do so by the same name in every term, as if names carried none. */
export const namesAreForEver: Decide = (input) => {
  const { record } = input;
  if (record === null) return decideGroup(input);
  const named = (text: string | null, from: number, to: number): string | null => text?.replaceAll(`@${from}`, `@${to}`) ?? null;
  const seen = Object.fromEntries(Object.entries(input.seen).map(([name, { report, at }]): [string, Seen] => [name, { at, report: {
    ...report, synchronousNames: named(report.synchronousNames, EVER, record.term), followers: report.followers.map((one) => (one.term === EVER ? { ...one, term: record.term } : one)),
  } }]));
  const decision = decideGroup({ ...input, seen });
  if (decision.record === null) return decision;
  const { term } = decision.record;
  const members = Object.entries(decision.record.members).map(([name, member]) => {
    const goal = { ...member.goal };
    if (goal.kind === 'follow') goal.name = named(goal.name, term, EVER)!;
    if ('synchronousNames' in goal && goal.synchronousNames !== undefined) goal.synchronousNames = goal.synchronousNames.replaceAll(/@\d+/g, `@${EVER}`);
    return [name, { ...member, goal }];
  });
  return { ...decision, record: { ...decision.record, members: Object.fromEntries(members) } };
};

/** The new set votes as soon as it is wished for. */
export const votersChangeAtOnce = changed((_, after) => (after.voterChange === null ? after : { ...after, voters: after.voterChange.to, voterChange: null }));

/** A logger is a source for whatever a standby has: all of them seem to begin with the first WAL, and to reach back to it. */
export const anyLoggerWillDo: Decide = (input) => {
  const timeline = Math.max(1, ...(input.record?.timelines ?? []).map((one) => one.timeline));
  return reporting((report) => {
    if (report.oldest !== null) return { ...report, oldest: '0/0' };
    return input.spec.members[report.member]?.role === 'standby' ? { ...report, timeline, received: 'FF/0' } : report;
  })(input);
};
