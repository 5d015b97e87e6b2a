/** A cluster that is one of two sites: the document at SITE_KEY. A cluster on its own has none. */
import type { AgentAddress } from '../agent/config.ts';
import { slotName } from '../group/decide/goals.ts';
import type { ClusterSpec, WalPosition } from '../group/model.ts';

export interface SiteDocument {
  format: 1;
  /** Of this site: where writes are accepted, or a copy of where they are. */
  role: 'primary' | 'standby';
  /** Counts the changes of the primary site; the higher one wins. Those that this site begins are its side's, modulo 2. */
  epoch: number;
  /** 1 for the site that was there first, 0 for the other: of two sites that know nothing of each other none takes the other's number. */
  side: 0 | 1;
  peer: PeerSite;
  handOver: HandOver | null;
  /** The epoch of a hand-over that this site was offered and will never take, 0 for none. */
  declined: number;
  /** What each group has to have before it gets a primary in this epoch; null: whatever it has. */
  ends: Record<string, WalPosition> | null;
  /** How the last change ended that came to nothing, for a person. */
  note: string | null;
}

/** The other site, and how it is asked. PEM. */
export interface PeerSite {
  cluster: string;
  clusterId: string;
  agents: AgentAddress[];
  /** Of its hosts: their members may copy and follow. */
  addresses: string[];
  /** Its authorities; the certificate that one of them issued for this site, and its key. */
  ca: string;
  cert: string;
  key: string;
}

/** This site stops to be the primary one. */
export interface HandOver {
  /** The one that `to` opens. */
  epoch: number;
  /** The id of the cluster that takes over. */
  to: string;
  /** `done`: this site is a standby since, and `ends` is whole. */
  step: 'checkpoint' | 'stop' | 'done';
  /** Where each group's WAL ends, by its name. */
  ends: Record<string, WalPosition>;
}

/** The next epoch of a site above all that are known. */
export const nextEpoch = (side: 0 | 1, ...known: number[]): number => {
  const next = Math.max(0, ...known) + 1;
  return next % 2 === side ? next : next + 1;
};

/** The slot that a site's leading members use on the other site, and the name that they come under: no member has such a one. */
export const siteSlotName = (cluster: string): string => slotName(`site-${cluster}`);
export const siteFollowerName = (cluster: string): string => `site:${cluster}`;

/** Where a site's members may come from. */
export const addressesOf = (hosts: ClusterSpec['hosts']): string[] => [...new Set(Object.values(hosts).map(({ address }) => address))].sort();

/** Written once, when a site is founded; later both sides change theirs by what they hear. */
export const newSite = (role: SiteDocument['role'], peer: PeerSite, epoch: number): SiteDocument =>
  ({ format: 1, role, epoch, side: role === 'primary' ? 1 : 0, peer, handOver: null, declined: 0, ends: null, note: null });
