/** What a site tells the other one. Pure: from its documents, records and reports. */
import type { AgentAddress } from '../agent/config.ts';
import { FRESH_MS, type Seen } from '../group/decide/context.ts';
import { newestTimeline } from '../group/decide/timelines.ts';
import type { Endpoint, GroupRecord, MemberReport, WalPosition } from '../group/model.ts';
import type { HandOver, SiteDocument } from './document.ts';

export interface SiteAnswer {
  cluster: string;
  clusterId: string;
  /** Null: it is no site of whoever asks. */
  site: { role: SiteDocument['role']; epoch: number; handOver: HandOver | null; declined: number } | null;
  agents: AgentAddress[];
  addresses: string[];
  /** Its authorities, PEM. */
  ca: string;
  groups: Record<string, SiteGroup>;
}

export interface SiteGroup {
  systemIdentifier: string | null;
  /** Who leads: the primary, or the member that follows the other site. */
  leader: Endpoint | null;
  /** The leader accepts writes. */
  writable: boolean;
  /** The leader receives WAL from the other site. */
  streaming: boolean;
  /** What the leader has. */
  position: WalPosition | null;
  timelines: GroupRecord['timelines'];
  newest: number;
}

type Reports = Readonly<Record<string, Seen>>;

/** The report of whoever leads the group, while it is fresh and of the present data. */
export function leaderReport(record: GroupRecord, seen: Reports, now: number): MemberReport | null {
  const leader = record.primary === null ? undefined : record.members[record.primary];
  const found = leader === undefined ? undefined : seen[leader.name];
  if (leader === undefined || found === undefined || now - found.at > FRESH_MS) return null;
  return found.report.incarnation === leader.incarnation ? found.report : null;
}

/** What a member that answers has. */
export function positionIn(report: MemberReport | null): WalPosition | null {
  const lsn = report?.received ?? report?.lsn ?? null;
  return report?.ready !== true || report.timeline === null || lsn === null ? null : { timeline: report.timeline, lsn };
}

export function groupAnswer(record: GroupRecord, seen: Reports, now: number): SiteGroup {
  const report = leaderReport(record, seen, now);
  const leader = record.primary === null ? undefined : record.members[record.primary];
  return {
    systemIdentifier: record.systemIdentifier,
    leader: leader === undefined ? null : { member: leader.name, address: leader.address, port: leader.port },
    writable: record.standbySite !== true && record.promotion === null && report?.ready === true && report.inRecovery === false,
    streaming: record.standbySite === true && report?.streamingFrom != null,
    position: positionIn(report),
    timelines: record.timelines,
    newest: newestTimeline(record, seen),
  };
}
