/**
 * A group in the words of PolarDB's three-node views: polar_dma_cluster_status, polar_dma_consensus_status and
 * polar_dma_member_status of contrib/polar_monitor (POLARDB_11_STABLE, polar_monitor--1.1.sql), columns and types as
 * there. PolarDB replicates through a log of its own whose entries have an index; here the WAL is the log, so an index
 * is a WAL position counted in bytes. Columns left out are null in the views: nothing here answers to them. Pure.
 */
import type { ViewGroup, ViewMember } from './document.ts';
import { compareLsn, parseLsn } from '../../wal/lsn.ts';

/** alisql::Paxos::State, as `role` and `paxos_role` show it. */
const ROLE = { follower: 0, candidate: 1, leader: 2, learner: 3 } as const;
/** ConsensusState in polar_dma.h, as `state` of polar_dma_consensus_status shows it. */
const STATE = { leader: 1, follower: 2 } as const;
/** PolarDB numbers its voters from 1 and its learners from 100. */
const FIRST_VOTER = 1;
const FIRST_LEARNER = 100;
/** How PolarDB says that there is no leader. */
const NOBODY = 0;

export interface PolarCluster {
  server_id: number;
  ip_port: string;
  /** A decimal string: it may pass 2^53. */
  match_index: string | null;
  role: number;
}

export interface PolarConsensus {
  state: number;
  term: number;
  leader_id: number;
  synced_tli: number | null;
  synced_lsn: string | null;
  commit_index: string | null;
  flushed_lsn: string | null;
  flushed_tli: number | null;
}

export interface PolarMember {
  server_id: number;
  current_term: number;
  current_leader: number;
  commit_index: string | null;
  last_log_index: string | null;
  paxos_role: number;
}

/** One row a member. */
export function polarCluster(group: ViewGroup): PolarCluster[] {
  const ids = serverIds(group);
  return group.members.map((member) => ({
    server_id: ids.get(member.name)!,
    ip_port: `${member.address.includes(':') ? `[${member.address}]` : member.address}:${member.port}`,
    match_index: index(position(member)),
    role: roleOf(group, member),
  }));
}

/** One row, about the member `self`; none where the group has no such member. */
export function polarConsensus(group: ViewGroup, self: string): PolarConsensus[] {
  const member = group.members.find((one) => one.name === self);
  if (member === undefined) return [];
  const synced = committed(group);
  const primary = group.members.find((one) => one.name === group.primary);
  return [{
    state: group.primary === self ? STATE.leader : STATE.follower,
    term: group.term,
    leader_id: leaderId(group),
    synced_tli: synced === null ? null : (primary?.timeline ?? null),
    synced_lsn: synced,
    commit_index: index(synced),
    flushed_lsn: position(member),
    flushed_tli: member.timeline,
  }];
}

/** One row, about the member `self`; none where the group has no such member. */
export function polarMember(group: ViewGroup, self: string): PolarMember[] {
  const member = group.members.find((one) => one.name === self);
  if (member === undefined) return [];
  return [{
    server_id: serverIds(group).get(self)!,
    current_term: group.term,
    current_leader: leaderId(group),
    commit_index: index(committed(group)),
    last_log_index: index(position(member)),
    paxos_role: roleOf(group, member),
  }];
}

/** With `commit: async` nobody votes: a replica is a follower there because it may be promoted by itself, unlike a standby. */
const votes = (group: ViewGroup, member: ViewMember): boolean => (group.commit === 'quorum' ? member.voter : member.role !== 'standby');

function roleOf(group: ViewGroup, member: ViewMember): number {
  if (member.name === group.primary) return ROLE.leader;
  if (member.state === 'promoting') return ROLE.candidate;
  return votes(group, member) ? ROLE.follower : ROLE.learner;
}

function serverIds(group: ViewGroup): Map<string, number> {
  let voter = FIRST_VOTER;
  let learner = FIRST_LEARNER;
  return new Map(group.members.map((member) => [member.name, member.name === group.primary || votes(group, member) ? voter++ : learner++]));
}

function leaderId(group: ViewGroup): number {
  return group.primary === null ? NOBODY : (serverIds(group).get(group.primary) ?? NOBODY);
}

/** What the member has on disk: what it received, where that is known, else what it wrote or replayed. */
function position(member: ViewMember): string | null {
  return member.received ?? member.lsn;
}

/**
 * Up to where a majority of the voters has the WAL; with `commit: async` the primary's own position. Null while the
 * positions of a majority are not known. As fresh as the document: a commit is acknowledged on the primary's own view
 * of its followers, not on this.
 */
function committed(group: ViewGroup): string | null {
  const primary = group.members.find((member) => member.name === group.primary);
  if (primary === undefined) return null;
  if (group.commit !== 'quorum') return primary.lsn;
  const voters = group.members.filter((member) => votes(group, member));
  const known = voters.flatMap((member) => position(member) ?? []);
  return known.sort((a, b) => compareLsn(parseLsn(b), parseLsn(a)))[Math.floor(voters.length / 2)] ?? null;
}

function index(lsn: string | null): string | null {
  return lsn === null ? null : parseLsn(lsn).toString();
}
