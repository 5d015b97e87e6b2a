/** The one decision about a group: from what is wanted, recorded and observed to a new record. Pure. */
import { Context, type Decision, type DecisionInput } from './context.ts';
import { settleGoals } from './goals.ts';
import { newMember } from './members.ts';
import { rulesFor } from './rules.ts';
import { beginStandby } from './standby-site.ts';
import type { GroupRecord } from '../model.ts';

/** A round changes one thing; a decision runs rounds until nothing changes. More than this is a rule that flaps. */
const MAX_ROUNDS = 50;

export function decideGroup(input: DecisionInput): Decision {
  const context = new Context(input, input.record ?? emptyRecord(input));
  // Nothing is made here before it is known what there is to follow.
  if (input.record === null && input.site?.role === 'standby' && !beginStandby(context)) return { record: null, timers: {}, events: [] };
  if (Object.keys(context.record.members).length === 0) {
    const first = Object.values(input.spec.members).find((member) => member.role === 'primary');
    if (first === undefined) throw new Error(`group ${input.spec.name} has no primary in its spec`);
    context.change({ members: { [first.name]: newMember(context, first.name) } });
  }
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const changed = rulesFor(context).some((rule) => rule.apply(context));
    settleGoals(context);
    if (!changed) return { record: context.record, timers: context.timers, events: context.events };
  }
  throw new Error(`the rules of group ${input.spec.name} do not settle`);
}

function emptyRecord(input: DecisionInput): GroupRecord {
  return {
    group: input.spec.name, systemIdentifier: null, term: 0, primary: null, promotion: null, voters: [], voterChange: null, voterChanges: 0, timelines: [],
    members: {}, operation: null, results: [],
  };
}
