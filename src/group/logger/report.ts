/** What a logger's agent tells of it. Pure. */
import type { ErrorReport } from '../../errors.ts';
import type { LoggerStatus } from '../../wal/logger/logger.ts';
import type { Orders } from '../member/member.ts';
import type { Place } from '../member/place.ts';
import type { Follower, MemberReport, MemberState } from '../model.ts';
import type { Facts, Step } from './next-step.ts';

export interface ReportInput {
  place: Pick<Place, 'group' | 'member' | 'host'>;
  orders: Orders;
  facts: Facts | null;
  status: LoggerStatus | null;
  promised: MemberReport['promised'];
  pid: number | null;
  step: Step | null;
  error: ErrorReport | null;
  failures: number;
}

export function reportOf(input: ReportInput): MemberReport {
  const { place, orders, facts, status, step } = input;
  const flushed = status?.flushed ?? null;
  const upstream = status?.upstream ?? null;
  return {
    group: place.group,
    member: place.member,
    host: place.host,
    incarnation: facts?.data?.incarnation ?? 0,
    term: status === null ? 0 : termOf(status),
    empty: facts !== null && facts.current && facts.data === null,
    restarts: facts?.startedFor ?? 0,
    state: stateOf(input),
    step: step === null ? null : DOING[step.do],
    pid: input.pid,
    ready: input.pid !== null && status !== null,
    inRecovery: null,
    systemIdentifier: status?.systemIdentifier ?? orders.systemIdentifier,
    timeline: status === null || flushed === null ? null : status.timeline,
    lsn: flushed,
    received: flushed,
    streamingFrom: upstream?.state === 'streaming' ? `${upstream.host}:${upstream.port}` : null,
    heardMs: upstream?.heardMs ?? null,
    oldest: status?.oldest ?? null,
    retained: {},
    followers: (status?.followers ?? []).map(followerOf),
    promised: input.promised,
    synchronousNames: null,
    change: null,
    history: null,
    lagMs: null,
    synchronous: false,
    pendingRestart: [],
    reached: step?.do === 'nothing' && step.reached ? orders.goal.kind : null,
    goalTerm: orders.term,
    sessions: null,
    cleanStop: null,
    stoppedAt: null,
    error: input.error,
    failures: input.failures,
  };
}

/** What is being done, in words. */
const DOING: Record<Step['do'], string | null> = {
  'nothing': null, 'make-folder': 'making its folder', 'set-aside': 'setting its old WAL aside', 'start': 'starting', 'stop': 'stopping',
  'tune': null, 'follow': null, 'promise': 'promising', 'remove': 'removing its files',
};

/** The term in which it acknowledges now; else that of its newest WAL; else the one that it has promised. */
function termOf({ upstream, walTerm, term }: LoggerStatus): number {
  if (upstream?.state === 'streaming') return upstream.term;
  return walTerm > 0 ? walTerm : term;
}

/** One row a situation, the first that applies. */
function stateOf({ orders, facts, status, pid, step, error, failures }: ReportInput): MemberState {
  const { goal } = orders;
  // Nothing is known yet: the agent has just begun to look.
  if (facts === null) return 'starting';
  if (goal.kind === 'remove') return facts.data === null && !facts.debris && !facts.aside && pid === null ? 'removed' : 'removing';
  // The last step failed and is tried again; or the process runs and has no room: it acknowledges nothing.
  if (error !== null && failures > 0 && pid === null) return 'failed';
  if (status?.upstream?.state === 'disk-full') return 'failed';
  if (step?.do === 'make-folder' || step?.do === 'set-aside') return 'attaching';
  if (pid === null) return step?.do === 'start' ? 'starting' : 'stopped';
  if (step?.do === 'stop' || facts.process === 'stopping') return 'stopping';
  if (status === null) return 'starting';
  return status.upstream?.state === 'streaming' ? 'streaming' : 'catching-up';
}

/** `n2@7` is n2 in term 7. */
function followerOf({ name, apply, flush }: LoggerStatus['followers'][number]): Follower {
  const [, member, term] = /^(.*)@(\d+)$/.exec(name) ?? [];
  return { name: member ?? name, term: term === undefined ? null : Number(term), replay: apply, flush, synchronous: false };
}
