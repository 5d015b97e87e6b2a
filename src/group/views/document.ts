/** What a member's status file holds: the content of the views that its PostgreSQL shows. Pure. */
import type { GroupStatus, MemberStatus, StatusDocument } from '../../agent/api.ts';
import type { OrbitEvent } from '../../observe/event.ts';
import { polarCluster, polarConsensus, polarMember, type PolarCluster, type PolarConsensus, type PolarMember } from './polar.ts';

/** A member as `pgorbit status` has it, and its last received position where that is known. */
export type ViewMember = MemberStatus & { received?: string | null };
export type ViewGroup = Omit<GroupStatus, 'members'> & { members: ViewMember[] };
export type ViewDocument = Pick<StatusDocument, 'cluster'> & { groups: ViewGroup[] };

/** One row of pgorbit.members; the names are the view's, apart from `lag_ms`, which it shows as the interval `lag`. */
export interface MemberRow {
  group: string;
  member: string;
  role: string;
  host: string;
  address: string;
  port: number;
  state: string;
  timeline: number | null;
  lsn: string | null;
  received: string | null;
  lag_bytes: number | null;
  lag_ms: number | null;
  synchronous: boolean;
  voter: boolean;
  is_self: boolean;
}

/** One row of pgorbit.events. */
export type EventRow = OrbitEvent;

/** Every list is one view. `as_of` is added when the file is written. */
export interface StatusFile {
  cluster: string;
  members: MemberRow[];
  polar_cluster: PolarCluster[];
  polar_consensus: PolarConsensus[];
  polar_member: PolarMember[];
  events: EventRow[];
}

/** The newest events that pgorbit.events shows. */
const EVENTS = 200;
/** Characters of an event's message: with EVENTS it keeps the file far below what the views read of it. */
const MESSAGE = 1000;

/**
 * The status file of the member `self` of `group`. The polar views show its own group, as a PolarDB node knows only
 * its own; pgorbit.members shows the whole cluster. A member that the document does not know sees others, not itself.
 * @param events oldest first, as every agent keeps them
 */
export function statusFile(document: ViewDocument, group: string, self: string, events: readonly OrbitEvent[]): StatusFile {
  const own = document.groups.find((one) => one.name === group);
  return {
    cluster: document.cluster,
    members: document.groups.flatMap((one) => one.members.map((member) => memberRow(one, member, one.name === group && member.name === self))),
    polar_cluster: own === undefined ? [] : polarCluster(own),
    polar_consensus: own === undefined ? [] : polarConsensus(own, self),
    polar_member: own === undefined ? [] : polarMember(own, self),
    events: events.slice(-EVENTS).map((event) => ({ ...event, message: event.message.slice(0, MESSAGE) })),
  };
}

function memberRow(group: ViewGroup, member: ViewMember, isSelf: boolean): MemberRow {
  return {
    group: group.name, member: member.name, role: member.role, host: member.host, address: member.address, port: member.port, state: member.state,
    timeline: member.timeline, lsn: member.lsn, received: member.received ?? null, lag_bytes: member.lagBytes, lag_ms: member.lagMs,
    synchronous: member.synchronous, voter: member.voter, is_self: isSelf,
  };
}
