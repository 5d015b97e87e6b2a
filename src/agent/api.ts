/**
 * What an agent answers, over HTTPS with client certificates of the cluster's own CA. JSON in, JSON out; an error is
 * an ErrorReport with a 4xx or 5xx status. Requests that only the deciding agent can answer are passed on to it by
 * whichever agent got them, so that a client may ask any. What agents tell each other all the time goes over their
 * streams instead: rpc/streams.ts.
 */
import type { AgentAddress } from './config.ts';
import type { RotationStep } from './identity/authority-document.ts';
import type { CertificateRequest } from './identity/request.ts';
import type { ErrorReport } from '../errors.ts';
import type { ArchiveProgress, ArchiveReport, ClusterSpec, DriverName, OperateRequest, OperationResult, SecretsDocument } from '../group/model.ts';
import type { DrillCheck, DrillResult } from '../group/member/drill.ts';
import type { NewOwner, Parted } from '../group/member/parted.ts';
import type { OrbitEvent } from '../observe/event.ts';
import type { SiteAnswer } from '../site/answer.ts';
import type { PeerSite, SiteDocument } from '../site/document.ts';
import type { SiteStatus } from '../site/status.ts';
import type { RecoveryPoint } from '../group/member/recovery-point.ts';

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
  /** Absent for a cluster on its own. */
  site?: SiteStatus;
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
  /** Null where the manifest asks for none. */
  archive: ArchiveStatus | null;
  members: MemberStatus[];
}
/** How the cluster's own archiving of a group's WAL goes. */
export interface ArchiveStatus extends ArchiveProgress {
  /** The repository. */
  to: string;
  /** Who archives; null while that is not settled. */
  host: string | null;
  pid: number | null;
  state: ArchiveReport['state'] | 'unknown';
  /** What the primary has and the repository lacks. */
  lagBytes: number | null;
  /** For how long at most something has been there that the repository lacks. */
  lagMs: number | null;
  error: ErrorReport | null;
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
  /** Whom it follows; null for a primary, and while it follows nobody. */
  upstream: string | null;
  /** How much WAL its slot keeps on its upstream, bytes; null where there is no slot. */
  retainedBytes: number | null;
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

/** What a standby takes along that leaves its cluster. */
export interface Departure {
  parted: Parted;
  /** The folder that holds PGDATA as `data`. */
  dir: string;
  /** It lies in the agent's home, and has to be moved to the new cluster's. */
  inHome: boolean;
  secrets: SecretsDocument;
}

/** What a newcomer is given. PEM. */
export interface Admission {
  ca: string;
  cert: string;
  clusterId: string;
  founders: string[];
  agents: AgentAddress[];
}

/** Path, request and answer of each call. GET has its request in the query. */
export interface Calls {
  'GET /v1/ping': { request: Record<string, never>; answer: PingAnswer };
  'GET /v1/status': { request: Record<string, never>; answer: StatusDocument };
  /** Replaces the cluster document when its revision still is `revision` (0: when there is none). */
  'POST /v1/apply': { request: { revision: number; document: ClusterDocument; secrets?: SecretsDocument; authority?: { cert: string; key: string }; site?: SiteDocument }; answer: { revision: number } };
  'GET /v1/cluster': { request: Record<string, never>; answer: { revision: number; document: ClusterDocument | null } };
  'GET /v1/secrets': { request: Record<string, never>; answer: { secrets: SecretsDocument | null } };
  'POST /v1/operate': { request: OperateRequest; answer: { id: string } };
  /** The agent's own events with a sequence above `after`, waiting up to `waitMs` for the first. */
  'GET /v1/events': { request: { after: string; waitMs: string }; answer: { events: OrbitEvent[]; sequence: number } };
  /** The first free TCP port at or above `from` on the agent's address, leaving out `except`; or whether `exactly` is free. */
  'POST /v1/port': { request: { address: string; from: number; except: number[]; exactly: boolean }; answer: { port: number | null } };
  /** Log lines of a member, newest last. `offset` is where the next call goes on; -1 starts `lines` from the end. */
  'GET /v1/logs': { request: { group: string; member: string; offset: string; lines: string }; answer: { text: string; offset: number } };
  /** What this very agent knows of its cluster, whether or not anybody leads. */
  'GET /v1/here': { request: Record<string, never>; answer: { document: ClusterDocument | null; parted: { group: string; member: string; owner: NewOwner }[] } };
  /** A standby of this agent's host becomes the beginning of another cluster: it is promoted, stopped, and marked as that one's. */
  'POST /v1/part': { request: { group: string; member: string; owner: NewOwner }; answer: Departure };
  /** A copy of a standby of this agent's host is promoted aside, asked, and thrown away. */
  'POST /v1/drill': { request: { group: string; member: string; checks: DrillCheck[]; database: string }; answer: DrillResult };
  'POST /v1/volume/reclaim': { request: { volume: string }; answer: { freed: number; segments: number } };
  'POST /v1/volume/usage': { request: { volume: string }; answer: VolumeStatus };
  /** Ends the agent; its members go on, unless `stopMembers`. With `leave` it is no agent of the cluster any more. */
  'POST /v1/shutdown': { request: { stopMembers: boolean; leave?: boolean }; answer: Record<string, never> };

  /** Which agents have been here, and the hosts for which a token was given out. */
  'GET /v1/hosts': { request: Record<string, never>; answer: { agents: AgentAddress[]; tokens: { host: string; expires: string; used: boolean }[] } };
  /** A one-time token: for `host` to join, or for a person's command line. */
  'POST /v1/token': { request: { kind: 'join' | 'login'; host: string | null; ttlMs: number }; answer: { token: string; expires: string } };
  /** The authorities of the cluster, PEM. Anyone may ask. */
  'GET /v1/ca': { request: Record<string, never>; answer: { ca: string } };
  /** A host joins by a token; its agent will listen on `port`. Anyone may ask. */
  'POST /v1/join': { request: { name: string; secret: string; port: number; request: CertificateRequest }; answer: Admission };
  /** A command line joins by a token. Anyone may ask. */
  'POST /v1/login': { request: { name: string; secret: string; request: CertificateRequest }; answer: Admission };
  /** Another certificate for who has one. */
  'POST /v1/certificate': { request: { request: CertificateRequest }; answer: { ca: string; cert: string } };
  /** The calling agent says where it listens; `known` false: its host is not in force yet. */
  'POST /v1/announce': { request: { address: string; port: number }; answer: { known: boolean } };
  /** The agent that is asked makes itself a new key and gets it certified. `issuer`: SHA-256 of the authority that signed. */
  'POST /v1/renew': { request: Record<string, never>; answer: { validTo: string; issuer: string } };
  /** The authorities that this very agent trusts now, SHA-256. */
  'GET /v1/trust': { request: Record<string, never>; answer: { trusts: string[] } };
  /** One step of replacing the authority, unless it was made already. */
  'POST /v1/rotate': { request: { step: RotationStep }; answer: { next: RotationStep; ca: string } };

  /** What a site tells the cluster with the id `from`. */
  'GET /v1/site': { request: { from: string }; answer: SiteAnswer };
  /** Another cluster becomes the standby site of this one: `peer` says how it is asked, with a certificate that it issued. */
  'POST /v1/site/admit': { request: { request: CertificateRequest; peer: PeerSite }; answer: Omit<PeerSite, 'key'> & { epoch: number; secrets: SecretsDocument } };
  /** Another certificate for a site that has one. */
  'POST /v1/site/certificate': { request: { request: CertificateRequest }; answer: { ca: string; cert: string } };
  /** The site `to` is to be the primary one; null: the one that is not. Asked of either. */
  'POST /v1/site/switchover': { request: { to: string | null }; answer: { to: string } };
  /** This site becomes the primary one without the other. `points`: what its groups have, by name. */
  'POST /v1/site/promote': { request: { force: boolean }; answer: { epoch: number; points: Record<string, RecoveryPoint> } };
  /** The two are no sites of each other any more. `told`: the other one knows. `leaving`: this one will be gone, and only the other is told. */
  'POST /v1/site/detach': { request: { leaving?: true }; answer: { told: boolean; peer: string } };
}
export type CallName = keyof Calls;
