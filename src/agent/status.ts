/** `pgorbit status`, put together from documents and reports. Pure. */
import type { AgentStatus, ArchiveStatus, ClusterDocument, GroupStatus, MemberStatus, StatusDocument, VolumeStatus } from './api.ts';
import { progressOf } from './archiving.ts';
import type { AgentAddress } from './config.ts';
import { FRESH_MS, type Seen } from '../group/decide/context.ts';
import { shownAs, slotName } from '../group/decide/goals.ts';
import { acknowledgementsOf } from '../group/decide/quorum.ts';
import type { ArchiveReport, Follower, GroupRecord, GroupSpec, MemberRecord, MemberReport } from '../group/model.ts';
import type { SiteStatus } from '../site/status.ts';
import { lsnDiff, parseLsn } from '../wal/lsn.ts';

export interface StatusInput {
  cluster: string;
  document: ClusterDocument | null;
  records: ReadonlyMap<string, GroupRecord>;
  /** Null: the cluster is on its own. */
  site: SiteStatus | null;
  seen: (group: string) => Readonly<Record<string, Seen>>;
  /** What is said of the group's archiver, while that is fresh. */
  archive?: (group: string) => ArchiveReport | null;
  agents: readonly AgentAddress[];
  /** When each agent last reported. */
  heard: ReadonlyMap<string, { at: number; pid: number }>;
  /** This agent, which leads. */
  leader: { host: string; pid: number };
  voters: readonly string[];
  /** The group's record was decided upon with the present manifest. */
  settled: (group: string) => boolean;
  volumes: VolumeStatus[];
  engine: string | null;
  /** ms, monotonic */
  now: number;
}

export function statusOf(input: StatusInput): StatusDocument {
  const groups = Object.values(input.document?.spec.groups ?? {}).map((spec) => groupStatus(input, spec));
  return {
    cluster: input.cluster,
    ...(input.site === null ? {} : { site: input.site }),
    agents: input.agents.map((agent) => agentStatus(input, agent)),
    groups,
    volumes: input.volumes,
    endpoints: { rw: endpoint(groups, 'read-write'), ro: endpoint(groups, 'prefer-standby'), split: null },
  };
}

function agentStatus(input: StatusInput, agent: AgentAddress): AgentStatus {
  const voter = input.voters.includes(agent.host);
  if (agent.host === input.leader.host) return { ...agent, pid: input.leader.pid, state: 'leader', voter };
  const heard = input.heard.get(agent.host);
  const alive = heard !== undefined && input.now - heard.at <= FRESH_MS;
  return { ...agent, pid: alive ? heard.pid : null, state: alive ? 'follower' : 'unreachable', voter };
}

function groupStatus(input: StatusInput, spec: GroupSpec): GroupStatus {
  const record = input.records.get(spec.name) ?? null;
  const reportOf = (member: string): MemberReport | null => {
    const seen = input.seen(spec.name)[member];
    return seen !== undefined && input.now - seen.at <= FRESH_MS ? seen.report : null;
  };
  const primary = record?.primary == null ? null : reportOf(record.primary);
  const members = Object.values(record?.members ?? {}).map((member) => memberStatus(member, record!, reportOf, primary));
  for (const wanted of Object.values(spec.members)) {
    if (record?.members[wanted.name] === undefined) members.push(absent(wanted.name, wanted.role, wanted.host, input.document?.spec.hosts[wanted.host]?.address ?? '', wanted.port ?? 0));
  }
  const reports = new Map(Object.keys(record?.members ?? {}).map((name) => [name, reportOf(name)]));
  const archive = archiveStatus(spec, record, input.archive?.(spec.name) ?? null, primary);
  const { state, reason } = health({ spec, archive, record, members, reports, stopped: input.document?.stopped === true, settled: input.settled(spec.name), site: input.site });
  return {
    name: spec.name, storage: spec.storage, commit: spec.commit, term: record?.term ?? 0, primary: record?.standbySite === true ? null : (record?.primary ?? null),
    state, reason, engine: input.engine, operation: operationOf(record), results: record?.results ?? [], archive, members,
  };
}

function memberStatus(member: MemberRecord, record: GroupRecord, reportOf: (member: string) => MemberReport | null, primary: MemberReport | null): MemberStatus {
  const isPrimary = record.primary === member.name && record.standbySite !== true;
  const report = reportOf(member.name);
  const goal = member.goal.kind === 'follow' ? member.goal : null;
  const followed = goal === null ? null : shownAs(goal.upstream);
  // What the other site says is not among the reports.
  const upstream = goal === null ? primary : goal.upstream.site === undefined ? reportOf(goal.upstream.member) : null;
  const follower = followerOf(upstream, member.name, record.term);
  return {
    name: member.name,
    role: isPrimary ? 'primary' : member.role,
    host: member.host, address: member.address, port: member.port,
    pid: report?.pid ?? null,
    // A receiver whose slot was lost calls itself streaming between one failed attempt and the next.
    state: report?.state === 'streaming' && upstream !== null && follower === undefined ? 'catching-up' : (report?.state ?? 'unknown'),
    step: report?.step ?? null,
    timeline: report?.timeline ?? null,
    // A logger replays nothing: what it has is what it has flushed.
    lsn: report?.lsn ?? report?.received ?? null,
    // What the leading member of a standby site lacks is told with the site.
    lagBytes: isPrimary ? 0 : record.primary === member.name ? null : lagBytes(primary?.lsn ?? null, member.role === 'logger' ? (follower?.flush ?? report?.received ?? null) : (follower?.replay ?? report?.lsn ?? null)),
    lagMs: isPrimary ? 0 : (report?.lagMs ?? null),
    upstream: followed,
    retainedBytes: isPrimary ? null : (upstream?.retained[slotName(member.name)] ?? null),
    // What was agreed on before this site became a standby counts again when it is the primary one.
    voter: record.standbySite !== true && record.voters.includes(member.name),
    synchronous: follower?.synchronous ?? false,
    pendingRestart: report?.pendingRestart ?? [],
    error: report?.error ?? null,
  };
}

function absent(name: string, role: string, host: string, address: string, port: number): MemberStatus {
  return {
    name, role, host, address, port, pid: null, state: 'waiting', step: null, timeline: null, lsn: null,
    lagBytes: null, lagMs: null, upstream: null, retainedBytes: null, voter: false, synchronous: false, pendingRestart: [], error: null,
  };
}

function archiveStatus({ archive }: GroupSpec, record: GroupRecord | null, report: ArchiveReport | null, primary: MemberReport | null): ArchiveStatus | null {
  if (!archive) return null;
  const assigned = record?.archive?.to === archive.to ? record.archive : null;
  const own = report !== null && report.epoch === assigned?.epoch ? report : null;
  const lag = lagBytes(primary?.lsn ?? null, own?.lsn ?? null);
  return {
    to: archive.to, host: assigned?.host ?? null, pid: own?.pid ?? null, state: own?.state ?? 'unknown', ...progressOf(own),
    lagBytes: lag, lagMs: lag === 0 ? 0 : (own?.behindMs ?? null), error: own?.error ?? null,
  };
}

function lagBytes(primary: string | null, member: string | null): number | null {
  if (primary === null || member === null) return null;
  return Math.max(0, lsnDiff(parseLsn(primary), parseLsn(member)));
}

/** What its upstream sees of a member, under the present term where it streams under several. */
function followerOf(upstream: MemberReport | null, name: string, term: number): Follower | undefined {
  const all = upstream?.followers.filter((one) => one.name === name) ?? [];
  return all.find((one) => one.term === term) ?? all[0];
}

interface Look {
  spec: GroupSpec;
  record: GroupRecord | null;
  members: MemberStatus[];
  archive: ArchiveStatus | null;
  /** Fresh ones, or null. */
  reports: ReadonlyMap<string, MemberReport | null>;
  stopped: boolean;
  settled: boolean;
  site: SiteStatus | null;
}

type Health = Pick<GroupStatus, 'state' | 'reason'>;

/** One row a situation, the worst first. */
function health(look: Look): Health {
  const { record, members } = look;
  if (look.stopped) return { state: 'down', reason: 'the cluster was stopped by `pgorbit down`' };
  if (record === null) return { state: 'down', reason: 'the group is only being made' };
  if (!look.settled && record.primary !== null) return { state: 'degraded', reason: 'the manifest has just been changed' };
  if (record.promotion !== null) return { state: 'down', reason: promotionReason(record, look.reports) };
  if (record.primary === null) return { state: 'down', reason: 'the first member is being made' };
  if (record.standbySite === true) return standbyHealth(look, record);
  const primary = members.find((member) => member.name === record.primary);
  if (primary?.state === 'unknown' && members.some((member) => member.state === 'streaming')) {
    return { state: 'degraded', reason: `the agent of ${primary.host} does not report; its primary ${primary.name} lives: replicas stream from it` };
  }
  if (look.site?.handOver === 'checkpoint' || look.site?.handOver === 'stop') return { state: 'down', reason: `this site hands over to ${look.site.peer.cluster}` };
  if (primary === undefined || primary.state !== 'running') {
    const why = primary?.error?.message ?? (primary?.state === 'unknown' ? `the agent of ${primary.host} does not report` : `it is ${primary?.state ?? 'missing'}`);
    return { state: 'down', reason: `the primary ${record.primary} does not accept writes: ${why}` };
  }
  const waiting = quorumReason(record, look.reports.get(record.primary) ?? null);
  if (waiting !== null) return { state: 'down', reason: waiting };
  const sentences = troubles(look, record);
  return sentences.length === 0 ? { state: 'healthy', reason: '' } : { state: 'degraded', reason: sentences.join('; ') };
}

/** On a standby site nobody accepts writes: it is well when all its members follow. */
function standbyHealth(look: Look, record: GroupRecord): Health {
  const { members, site } = look;
  const leader = members.find((member) => member.name === record.primary);
  if (site === null || site.role === 'primary') return { state: 'down', reason: `this site is the primary one, and the group gets a primary as soon as a member has all that was handed over` };
  if (leader === undefined || leader.pid === null && leader.state !== 'attaching') return { state: 'down', reason: `${record.primary}, which follows ${site.peer.cluster}, is ${leader?.step ?? leader?.state ?? 'missing'}${leader?.error == null ? '' : ` (${leader.error.message})`}` };
  const sentences = [...(site.peer.answers ? [] : [`${site.peer.cluster} does not answer`]), ...troubles(look, { ...record, primary: null })];
  return sentences.length === 0 ? { state: 'healthy', reason: '' } : { state: 'degraded', reason: sentences.join('; ') };
}

function promotionReason(record: GroupRecord, reports: Look['reports']): string {
  const { promotion, term, voters } = record;
  if (promotion?.phase !== 'promise') {
    const failed = promotion?.attempts ?? 0;
    return `${promotion?.candidate} is being promoted in term ${term}${failed === 0 ? '' : `; ${failed === 1 ? 'one try has' : `${failed} tries have`} failed, as \`pgorbit events\` tells`}`;
  }
  const promised = [...reports].filter(([, report]) => report?.promised?.term === term).map(([name]) => name);
  if (voters.length === 0) return `a primary is elected in term ${term}: the members say what they have`;
  const needed = voters.length - acknowledgementsOf(voters.length);
  const answers = voters.filter((name) => reports.get(name) != null);
  const missing = voters.filter((name) => !answers.includes(name));
  const majority = answers.length >= needed ? '' : `; ${missing.join(' and ')} ${missing.length === 1 ? 'does' : 'do'} not answer, and without a majority nobody may be promoted`;
  return `a primary is elected in term ${term}: ${promised.length === 0 ? 'nobody' : promised.join(', ')} of the voters ${voters.join(', ')} promised, ${needed} are needed${majority}`;
}

/** Why no commit is acknowledged although the primary runs, or null. */
function quorumReason(record: GroupRecord, primary: MemberReport | null): string | null {
  const voters = (record.voterChange?.to ?? record.voters).filter((name) => name !== record.primary);
  const needed = acknowledgementsOf(voters.length + 1);
  const confirming = voters.filter((name) => primary?.followers.some((one) => one.name === name && one.term === record.term && one.flush !== null));
  if (confirming.length >= needed) return null;
  const who = confirming.length === 0 ? 'none streams' : `${confirming.join(', ')} alone ${confirming.length === 1 ? 'streams' : 'stream'}`;
  return `no commit is acknowledged: ${record.primary} waits for ${needed} of ${voters.join(', ')}, and ${who}; reads go on`;
}

/** What is not as the manifest wants it while the group works, a sentence each. */
function troubles({ spec, members, archive }: Look, record: GroupRecord): string[] {
  const others = members.filter((member) => member.name !== record.primary);
  const wanted = others.filter((member) => spec.members[member.name] !== undefined);
  const troubled = wanted.filter((member) => member.state !== 'streaming');
  const leaving = others.filter((member) => spec.members[member.name] === undefined);
  const voiceless = spec.commit === 'quorum' && record.standbySite !== true ? wanted.filter((member) => member.state === 'streaming' && member.role !== 'standby' && !member.voter) : [];
  // While the group is made, or a change of `commit` has just begun, not even the primary votes.
  const begins = record.standbySite !== true && (spec.commit === 'quorum') !== (record.voters.length > 0) && troubled.length === 0 && voiceless.length === 0;
  return [
    ...troubled.map((member) => `${member.name} is ${member.step ?? member.state}${member.error === null ? '' : ` (${member.error.message})`}`),
    ...voiceless.map((member) => `${member.name} does not vote yet${member.lagBytes === null ? '' : `: it lacks ${member.lagBytes} bytes of WAL`}`),
    ...leaving.map((member) => `${member.name} is being removed`),
    ...(record.voterChange === null ? [] : [`the voters change to ${record.voterChange.to.join(', ') || 'none'}`]),
    ...(archive?.error == null ? [] : [`WAL is not archived: ${archive.error.message}`]),
    ...(begins && record.voterChange === null ? ['the voters are only being settled'] : []),
  ];
}

function operationOf(record: GroupRecord | null): string | null {
  const operation = record?.operation ?? null;
  if (operation === null) return null;
  switch (operation.kind) {
    case 'switchover':
      return `switchover from ${operation.from} to ${operation.to}: ${operation.step}`;
    case 'promote':
      return `promotion of ${operation.to}`;
    case 'restart':
      return `restart: ${operation.current ?? 'next member'}${operation.left.length === 0 ? '' : `, then ${operation.left.join(', ')}`}`;
    case 'reclone':
      return `clone anew: ${operation.current ?? 'next member'} (${operation.step})${operation.left.length === 0 ? '' : `, then ${operation.left.join(', ')}`}`;
  }
}

/** A URI for clients that name several hosts ("Connection URIs", libpq); no user, no password. */
function endpoint(groups: GroupStatus[], target: string): string | null {
  const members = groups[0]?.members.filter((member) => member.port > 0 && (member.role === 'primary' || member.role === 'replica')) ?? [];
  if (members.length === 0) return null;
  return `postgresql://${members.map((member) => `${member.address}:${member.port}`).join(',')}/postgres?target_session_attrs=${target}`;
}
