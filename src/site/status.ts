/** What `pgorbit status` shows of sites. Pure. */
import type { GroupRecord, WalPosition } from '../group/model.ts';
import { leaderReport, positionIn } from './answer.ts';
import type { SiteDocument } from './document.ts';
import { lag } from './request.ts';
import { isFresh, type Heard } from './view.ts';
import type { Seen } from '../group/decide/context.ts';

export interface SiteStatus {
  role: 'primary' | 'standby';
  epoch: number;
  peer: {
    cluster: string;
    /** What it said last; null: nothing yet. */
    role: 'primary' | 'standby' | null;
    epoch: number | null;
    /** ms since it answered last; null: it has not. */
    contactMs: number | null;
    answers: boolean;
    /** All its groups accept writes. */
    writable: boolean;
  };
  /** How far a hand-over is that this site has begun; null: there is none. */
  handOver: 'checkpoint' | 'stop' | 'done' | null;
  note: string | null;
  groups: { name: string; /** What the standby site lacks, bytes. */ lagBytes: number | null; position: WalPosition | null; /** The newest timeline, and where it begins. */ timeline: { timeline: number; begin: string } | null }[];
}

export interface SiteStatusInput {
  site: SiteDocument;
  heard: Heard | null;
  records: ReadonlyMap<string, GroupRecord>;
  seen: (group: string) => Readonly<Record<string, Seen>>;
  now: number;
}

export function siteStatus({ site, heard, records, seen, now }: SiteStatusInput): SiteStatus {
  const there = heard?.answer ?? null;
  const fresh = isFresh(heard, now);
  return {
    role: site.role, epoch: site.epoch, handOver: site.handOver?.step ?? null, note: site.note,
    peer: {
      cluster: site.peer.cluster, role: there?.site?.role ?? null, epoch: there?.site?.epoch ?? null,
      contactMs: heard === null ? null : Math.round(now - heard.at), answers: fresh,
      writable: fresh && [...records.keys()].every((name) => there?.groups[name]?.writable === true),
    },
    groups: [...records].map(([name, record]) => {
      const own = positionIn(leaderReport(record, seen(name), now));
      const other = fresh ? (there?.groups[name]?.position ?? null) : null;
      const [ahead, behind] = site.role === 'primary' ? [own, other] : [other, own];
      const bytes = lag(ahead, behind);
      return { name, lagBytes: Number.isFinite(bytes) ? bytes : null, position: own, timeline: record.timelines.at(-1) ?? null };
    }),
  };
}
