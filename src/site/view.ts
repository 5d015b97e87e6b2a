/** What the decision about one group is told of the sites. Pure. */
import type { SiteView } from '../group/decide/site-view.ts';
import type { SiteAnswer } from './answer.ts';
import { siteFollowerName, siteSlotName, type SiteDocument } from './document.ts';

/** An answer older than this says nothing of the present. */
export const ANSWER_FRESH_MS = 3_000;

export interface Heard {
  answer: SiteAnswer;
  /** ms, on this agent's monotonic clock */
  at: number;
}

export const isFresh = (heard: Heard | null, now: number): heard is Heard => heard !== null && now - heard.at <= ANSWER_FRESH_MS;

export function siteView(group: string, cluster: string, site: SiteDocument, heard: Heard | null, now: number): SiteView {
  const handedOver = site.role === 'standby' && site.handOver?.step === 'done';
  const there = heard?.answer.site == null ? undefined : heard.answer.groups[group];
  return {
    role: site.role,
    side: site.side,
    handOver: site.role === 'primary' && site.handOver !== null && site.handOver.step !== 'done' ? site.handOver.step : null,
    handedOver,
    // Until the other site has taken over it fetches from here what it lacks.
    peerSlot: site.role === 'primary' || handedOver ? siteSlotName(site.peer.cluster) : null,
    name: siteFollowerName(cluster),
    slot: siteSlotName(cluster),
    end: site.ends?.[group] ?? null,
    upstream: there?.systemIdentifier == null ? null : {
      endpoint: there.leader === null ? null : { ...there.leader, site: site.peer.cluster },
      writable: there.writable && isFresh(heard, now) && heard.answer.site?.role === 'primary',
      systemIdentifier: there.systemIdentifier, timelines: there.timelines, newest: there.newest,
    },
  };
}
