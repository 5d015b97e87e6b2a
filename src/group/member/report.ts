/** What a member's agent tells of it. Pure. */
import type { ErrorReport } from '../../errors.ts';
import type { MemberReport, MemberState, TimelineBegin } from '../model.ts';
import type { Orders } from './member.ts';
import type { Facts, Step } from './next-step.ts';
import type { Observation } from './observe.ts';
import type { Place } from './place.ts';

export interface ReportInput {
  place: Place;
  orders: Orders;
  facts: Facts | null;
  observation: Observation | null;
  pid: number | null;
  step: Step | null;
  doing: string | null;
  error: ErrorReport | null;
  failures: number;
  systemIdentifier: string | null;
  /** Of the running primary's timeline. */
  history: TimelineBegin[] | null;
}

export function reportOf(input: ReportInput): MemberReport {
  const { place, orders, facts, observation } = input;
  return {
    group: place.group,
    member: place.member,
    host: place.host,
    incarnation: facts?.data?.incarnation ?? 0,
    term: facts?.data?.term ?? 0,
    empty: facts !== null && facts.current && facts.data === null,
    restarts: facts?.startedFor ?? 0,
    state: stateOf(input),
    step: input.doing,
    pid: input.pid,
    ready: input.pid !== null && observation !== null,
    inRecovery: observation?.inRecovery ?? null,
    systemIdentifier: observation?.systemIdentifier ?? input.systemIdentifier,
    timeline: observation?.timeline ?? null,
    lsn: observation?.lsn ?? null,
    received: observation?.received ?? null,
    streamingFrom: observation?.streamingFrom ?? null,
    oldest: null,
    retained: observation?.retained ?? {},
    followers: (observation?.followers ?? []).map(({ name, ...rest }) => ({ ...splitName(name), ...rest })),
    heardMs: observation?.heardMs ?? null,
    promised: facts?.promised ?? null,
    synchronousNames: observation?.synchronousNames ?? null,
    change: orders.goal.kind === 'primary' && facts?.configured === true ? orders.goal.change : null,
    history: input.history,
    lagMs: observation?.lagMs ?? null,
    synchronous: false,
    pendingRestart: observation?.pendingRestart ?? [],
    reached: input.step?.do === 'nothing' && input.step.reached ? orders.goal.kind : null,
    goalTerm: orders.term,
    sessions: observation?.sessions ?? null,
    // Facts from before it went down say nothing of how it did.
    cleanStop: input.pid === null && facts?.process === 'none' ? (facts.data?.cleanStop ?? null) : null,
    stoppedAt: input.pid === null && facts?.process === 'none' ? facts.stoppedAt : null,
    error: input.error,
    failures: input.failures,
  };
}

/** One row a situation, the first that applies. */
function stateOf({ orders, facts, observation, pid, step, error, failures }: ReportInput): MemberState {
  const { goal } = orders;
  // Nothing is known yet: the agent has just begun to look.
  if (facts === null) return 'starting';
  if (goal.kind === 'remove') return facts.data === null && !facts.debris && !facts.aside && pid === null ? 'removed' : 'removing';
  // The last step failed and is tried again.
  if (error !== null && failures > 0 && pid === null) return error.code === 'fenced' ? 'fenced' : 'failed';
  if (step?.do === 'initdb' || (goal.kind === 'create' && pid === null)) return 'creating';
  if (step?.do === 'attach' || step?.do === 'set-aside' || step?.do === 'rewind') return 'attaching';
  if (pid === null) return step?.do === 'start' ? 'starting' : 'stopped';
  if (step?.do === 'stop' || facts.process === 'stopping') return 'stopping';
  if (goal.kind === 'promote') return 'promoting';
  if (observation === null) return 'starting';
  if (!observation.inRecovery) return 'running';
  return observation.streamingFrom === null ? 'catching-up' : 'streaming';
}

/** `n2@7` is n2 in term 7. */
function splitName(name: string): { name: string; term: number | null } {
  const [, member, term] = /^(.*)@(\d+)$/.exec(name) ?? [];
  return member === undefined ? { name, term: null } : { name: member, term: Number(term) };
}
