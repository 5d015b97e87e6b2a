/**
 * What an agent answers, over HTTPS with client certificates of the cluster's own CA. JSON in, JSON out; an error is
 * an ErrorReport with a 4xx or 5xx status. Requests that only the deciding agent can answer are passed on to it by
 * whichever agent got them, so that a client may ask any. What agents tell each other all the time goes over their
 * streams instead: rpc/streams.ts.
 */
import type { ErrorReport } from '../errors.ts';
import type { ClusterSpec, DriverName, OperateRequest, OperationResult, SecretsDocument } from '../group/model.ts';
import type { OrbitEvent } from '../observe/event.ts';

/** The document at SPEC_KEY: the manifest in force, and what was settled when it was applied. */
export interface ClusterDocument {
  /** Drawn at random when the cluster was made; every marker file of the cluster carries it. */
  id: string;
  /** The manifest's text, comments and all. */
  manifest: string;
  /** The manifest normalised, with every port settled. */
  spec: ClusterSpec;
  /** `pgorbit down`: every member is to be stopped, and nobody takes over from anybody. */
  stopped: boolean;
}

export interface PingAnswer {
  cluster: string;
  clusterId: string;
  host: string;
  pid: number;
  version: string;
}

/** `pgorbit status --json`: scripts rely on it; extend it freely, change nothing. */
export interface StatusDocument {
  cluster: string;
  agents: AgentStatus[];
  groups: GroupStatus[];
  volumes: VolumeStatus[];
  endpoints: { rw: string | null; ro: string | null; split: string | null };
}
export interface AgentStatus {
  host: string;
  address: string;
  port: number;
  pid: number | null;
  state: 'leader' | 'follower' | 'unreachable';
  /** It takes part in the agents' votes: false for one that has just joined or is leaving. */
  voter: boolean;
}
export interface GroupStatus {
  name: string;
  storage: string;
  commit: string;
  term: number;
  primary: string | null;
  state: 'healthy' | 'degraded' | 'down';
  /** Why it is not healthy and what is being done, or "" when it is. */
  reason: string;
  engine: string | null;
  /** The running operation in words, or null. */
  operation: string | null;
  results: OperationResult[];
  members: MemberStatus[];
}
export interface MemberStatus {
  name: string;
  role: string;
  host: string;
  address: string;
  port: number;
  pid: number | null;
  state: string;
  step: string | null;
  timeline: number | null;
  lsn: string | null;
  lagBytes: number | null;
  lagMs: number | null;
  /** It counts in elections and, unless it is the primary, for commits: a member of a group with `commit: quorum` that keeps up. */
  voter: boolean;
  synchronous: boolean;
  pendingRestart: string[];
  error: ErrorReport | null;
}
export interface VolumeStatus {
  name: string;
  driver: DriverName;
  /** Why this driver, in words. */
  why: string;
  path: string;
  bytes: { total: number; free: number; shared: number; logical: number };
  members: { name: string; exclusive: number; logical: number }[];
  warning: string | null;
}

/** Path, request and answer of each call. GET has its request in the query. */
export interface Calls {
  'GET /v1/ping': { request: Record<string, never>; answer: PingAnswer };
  'GET /v1/status': { request: Record<string, never>; answer: StatusDocument };
  /** Replaces the cluster document when its revision still is `revision` (0: when there is none). */
  'POST /v1/apply': { request: { revision: number; document: ClusterDocument; secrets?: SecretsDocument }; answer: { revision: number } };
  'GET /v1/cluster': { request: Record<string, never>; answer: { revision: number; document: ClusterDocument | null } };
  'GET /v1/secrets': { request: Record<string, never>; answer: { secrets: SecretsDocument | null } };
  'POST /v1/operate': { request: OperateRequest; answer: { id: string } };
  /** The agent's own events with a sequence above `after`, waiting up to `waitMs` for the first. */
  'GET /v1/events': { request: { after: string; waitMs: string }; answer: { events: OrbitEvent[]; sequence: number } };
  /** The first free TCP port at or above `from` on the agent's address, leaving out `except`; or whether `exactly` is free. */
  'POST /v1/port': { request: { address: string; from: number; except: number[]; exactly: boolean }; answer: { port: number | null } };
  /** Log lines of a member, newest last. `offset` is where the next call goes on; -1 starts `lines` from the end. */
  'GET /v1/logs': { request: { group: string; member: string; offset: string; lines: string }; answer: { text: string; offset: number } };
  'POST /v1/volume/reclaim': { request: { volume: string }; answer: { freed: number; segments: number } };
  'POST /v1/volume/usage': { request: { volume: string }; answer: VolumeStatus };
  /** Ends the agent; its members go on, unless `stopMembers`. */
  'POST /v1/shutdown': { request: { stopMembers: boolean }; answer: Record<string, never> };
}
export type CallName = keyof Calls;
