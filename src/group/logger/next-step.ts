/**
 * What a logger's agent does next: from the goal and the facts on its host to one step. Pure. Whatever state a crash
 * left behind, repeating "look, take one step" reaches the goal; every step is safe to take again.
 */
import type { ErrorReport } from '../../errors.ts';
import type { Goal, MemberRecord } from '../model.ts';

/** Whom the process follows just now, and how. */
export interface Following {
  host: string;
  port: number;
  slot: string | null;
  name: string;
  term: number;
}

export interface Facts {
  /** The folder, when it is this member's; `empty`: the process never made its state file in it. */
  data: { incarnation: number; empty: boolean } | null;
  /** Something of this group's lies where the folder should be, but not this member's. */
  debris: boolean;
  /** WAL of earlier incarnations that was set aside is still there (looked for where the member is to go). */
  aside: boolean;
  process: 'none' | 'starting' | 'ready' | 'stopping';
  /** The `restarts` number that the process was last started for; 0 when never. */
  startedFor: number;
  /** What manifest and record ask for: in force, to be had while it runs, or by a restart. */
  settings: 'same' | 'tune' | 'restart';
  /** What the process has stored; 0 when it has promised nothing or does not run. */
  promisedTerm: number;
  /** The term for which its position was read after the cut; 0 when for none. */
  answeredTerm: number;
  following: Following | null;
  /** The orders are the newest that a majority of the agents knows of, or were so since the agent began. */
  current: boolean;
}

export type Step =
  /** Nothing to do, or nothing that may be done: `reached` says which. */
  | { do: 'nothing'; reached: boolean; error?: ErrorReport }
  | { do: 'make-folder' }
  | { do: 'set-aside' }
  | { do: 'start' }
  | { do: 'stop' }
  | { do: 'tune' }
  | { do: 'follow' }
  | { do: 'promise' }
  | { do: 'remove' };

export interface StepInput {
  goal: Goal;
  member: Pick<MemberRecord, 'name' | 'incarnation' | 'restarts' | 'joined'>;
  term: number;
  facts: Facts;
}

const reached: Step = { do: 'nothing', reached: true };
const waiting: Step = { do: 'nothing', reached: false };
const refused = (message: string, hint?: string): Step =>
  ({ do: 'nothing', reached: false, error: { code: 'unsafe', message, ...(hint === undefined ? {} : { hint }) } });

export function nextStep(input: StepInput): Step {
  const { goal, facts, member } = input;
  // Orders from before the folder was made: an agent that has just started may know no newer ones yet.
  if (!facts.current || (facts.data !== null && facts.data.incarnation > member.incarnation)) return waiting;
  switch (goal.kind) {
    case 'follow':
      return follow(input, goal);
    case 'promise':
      return promise(input);
    // It has no dirty pages: there is nothing to write out.
    case 'checkpoint':
      return reached;
    // Its followers are members, no clients: they find another source of WAL.
    case 'drain':
    case 'stop':
      return facts.process === 'none' ? reached : { do: 'stop' };
    case 'remove':
      if (facts.process !== 'none') return { do: 'stop' };
      return facts.data !== null || facts.debris || facts.aside ? { do: 'remove' } : reached;
    case 'create':
    case 'primary':
    case 'promote':
      return refused(`${member.name} is a logger: it holds WAL and no data, and can never be the primary`, 'name a replica');
  }
}

/** A folder of this incarnation, the process in it, and the upstream. */
function follow({ facts, member, term }: StepInput, goal: Extract<Goal, { kind: 'follow' }>): Step {
  const { data } = facts;
  // WAL of an older incarnation is never continued: it may contradict what the group has decided since.
  if (data === null || data.incarnation < member.incarnation) {
    if (facts.process !== 'none') return { do: 'stop' };
    return data !== null || facts.debris ? { do: 'set-aside' } : { do: 'make-folder' };
  }
  const run = running(facts);
  if (run !== null) return run;
  // Another address, port or account, or a wanted restart.
  if (facts.settings === 'restart' || facts.startedFor < member.restarts) return { do: 'stop' };
  if (facts.settings === 'tune') return { do: 'tune' };
  // It has promised to a later term than these orders know of: newer ones are on their way.
  if (facts.promisedTerm > term) return refused(`${member.name} has promised to term ${facts.promisedTerm} and can't follow in term ${term}`);
  const wanted: Following = { host: goal.upstream.address, port: goal.upstream.port, slot: goal.slot, name: goal.name, term };
  return facts.following !== null && same(facts.following, wanted) ? reached : { do: 'follow' };
}

/** Only a logger that kept all it ever acknowledged may bear witness; nothing is begun anew for a promise. */
function promise({ facts, member, term }: StepInput): Step {
  const { data } = facts;
  if (data === null || data.incarnation !== member.incarnation || (data.empty && facts.process === 'none')) {
    // Not a voter yet: nobody waits for what it has to say.
    if (!member.joined) return facts.process === 'none' ? waiting : { do: 'stop' };
    // Its upstream of an older term must be cut whatever else is wrong.
    if (facts.process !== 'none') return { do: 'stop' };
    return refused(`${member.name} has lost the WAL that it acknowledged: it makes no promise`, 'it begins anew once there is a primary again');
  }
  const run = running(facts);
  if (run !== null) return run;
  if (facts.promisedTerm > term) return refused(`${member.name} has promised to term ${facts.promisedTerm}, above ${term}`);
  return facts.answeredTerm === term ? reached : { do: 'promise' };
}

/** What is to be done until the process answers; null when it does. */
function running(facts: Facts): Step | null {
  if (facts.process === 'none') return { do: 'start' };
  // A stop that an earlier goal began is brought to its end.
  if (facts.process === 'stopping') return { do: 'stop' };
  return facts.process === 'ready' ? null : waiting;
}

function same(a: Following, b: Following): boolean {
  return a.host === b.host && a.port === b.port && a.slot === b.slot && a.name === b.name && a.term === b.term;
}
