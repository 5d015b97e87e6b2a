/** What the decision about a group knows of sites: what its own is, and what its namesake on the other one says. */
import type { Endpoint, GroupRecord, WalPosition } from '../model.ts';

export interface SiteView {
  /** Of this site, by its own document. */
  role: 'primary' | 'standby';
  /** Of each timeline that is begun here, modulo 2. */
  side: 0 | 1;
  /** What primaries do while this site hands over; null: it does not. */
  handOver: 'checkpoint' | 'stop' | null;
  /** A standby because it handed over: its primaries were stopped cleanly, and nothing of theirs contradicts the other site. */
  handedOver: boolean;
  /** The slot of the other site on whoever leads here; null: it needs none. */
  peerSlot: string | null;
  /** Under which name, and by which slot there, this site's leading member follows the other site. */
  name: string;
  slot: string;
  /** What the group has to have before anybody is promoted in this epoch; null: whatever there is. */
  end: WalPosition | null;
  /** The namesake on the other site; null: not known. */
  upstream: SiteUpstream | null;
}

export interface SiteUpstream {
  /** Of whoever leads there, with `site`; null while nobody does. */
  endpoint: Endpoint | null;
  /** It was heard of lately, and accepts writes. */
  writable: boolean;
  systemIdentifier: string;
  timelines: GroupRecord['timelines'];
  /** The highest timeline that was handed out there, begun or not. */
  newest: number;
}
