/** What a person asks of a site: refused with the reason, or the document that carries it out. Pure. */
import { PgorbitError } from '../errors.ts';
import { lsnNumber } from '../group/decide/context.ts';
import type { WalPosition } from '../group/model.ts';
import type { SiteAnswer } from './answer.ts';
import { offer, type GroupFacts } from './decide.ts';
import { nextEpoch, type SiteDocument } from './document.ts';

/** What the other site may lack when it is asked to take over, bytes: it comes over while this one stops. */
const LAG = 16 * 1024 * 1024;

export interface Ask {
  own: SiteDocument;
  /** This cluster. */
  self: { cluster: string; clusterId: string };
  /** The other site's answer while it is fresh, or null. */
  answer: SiteAnswer | null;
  groups: Readonly<Record<string, GroupFacts & { busy: string | null }>>;
}

/** `done`: nothing is left to do; `ask-peer`: it is for the other site to begin. */
export type SwitchoverAct = { do: 'done' } | { do: 'ask-peer' } | { do: 'write'; document: SiteDocument };

/**
 * `to` becomes the primary site. Towards the one that has handed over, where the other has not taken it, it is a
 * withdrawal: the other says first, durably, that it will not. @throws PgorbitError `usage`, `unsafe`, `state-conflict`
 */
export function switchover(ask: Ask, to: string): SwitchoverAct {
  const { own, self, answer } = ask;
  if (to !== self.cluster && to !== own.peer.cluster) throw new PgorbitError('usage', `${to} is none of the two sites`, { hint: `they are ${self.cluster} and ${own.peer.cluster}` });
  if (to === self.cluster) {
    if (own.role === 'primary' && own.handOver === null) return { do: 'done' };
    if (own.role === 'primary') return { do: 'write', document: { ...own, handOver: null, note: 'the hand-over was taken back by a person' } };
    return { do: 'ask-peer' };
  }
  if (own.role === 'standby') {
    if (own.handOver !== null) return { do: 'done' };
    const offered = offer(own, self.clusterId, answer);
    // From here on that hand-over is nothing to this site, whatever comes late.
    if (offered !== null) return { do: 'write', document: { ...own, epoch: offered.epoch, declined: offered.epoch } };
    return { do: 'done' };
  }
  if (own.handOver !== null) return { do: 'done' };
  refuseUnready(ask);
  return { do: 'write', document: { ...own, handOver: { epoch: nextEpoch(own.side === 1 ? 0 : 1, own.epoch), to: own.peer.clusterId, step: 'checkpoint', ends: {} }, note: null } };
}

/** The default: the site that is not the primary one. */
export const otherSite = ({ own, self }: Ask): string => (own.role === 'primary' || own.handOver !== null ? own.peer.cluster : self.cluster);

function refuseUnready({ own, answer, groups }: Ask): void {
  const { cluster } = own.peer;
  const hint = '`pgorbit status` on either side';
  const refuse = (why: string): never => {
    throw new PgorbitError('unsafe', why, { hint });
  };
  if (answer === null) refuse(`${cluster} does not answer: it can't take over`);
  // One that has not heard of this epoch may still wait for what it handed over itself.
  if (answer?.site?.role !== 'standby' || answer.site.epoch !== own.epoch) refuse(`${cluster} is no standby of this site at the moment`);
  for (const [name, facts] of Object.entries(groups)) {
    const there = answer?.groups[name];
    if (facts.busy !== null) throw new PgorbitError('state-conflict', `group ${name} is busy: ${facts.busy}`, { hint: 'wait for it, and try again' });
    if (facts.state !== 'ready') refuse(`group ${name} has no running primary here`);
    if (there === undefined) refuse(`${cluster} has no group ${name}: nobody would accept its writes`);
    if (there?.streaming !== true) refuse(`group ${name} of ${cluster} does not stream from here: it can't take over`);
    if (lag(facts.position, there?.position ?? null) > LAG) refuse(`group ${name} of ${cluster} lacks ${Math.round(lag(facts.position, there?.position ?? null) / 1024 / 1024)} MB of WAL`);
  }
}

/** Bytes; Infinity where one of the two is not known. */
export const lag = (here: WalPosition | null, there: WalPosition | null): number => (here === null || there === null ? Infinity : Math.max(0, lsnNumber(here.lsn) - lsnNumber(there.lsn)));

/**
 * The document of a site that becomes the primary one without the other's consent.
 * @param answers the other site answers. @throws PgorbitError `unsafe`
 */
export function promoteSite({ own, self, groups }: Ask, options: { force: boolean; answers: boolean; peerEpoch: number }): SiteDocument | null {
  const { cluster } = own.peer;
  if (own.role === 'primary') return null;
  if (options.answers) {
    throw new PgorbitError('unsafe', `${cluster} answers, or still sends WAL: two sites would accept writes`, { hint: `\`pgorbit site switchover --to ${self.cluster}\` hands over without a loss` });
  }
  if (!options.force) {
    throw new PgorbitError('unsafe', `${cluster} does not answer from here, which does not prove that it is lost: what it has acknowledged and this site has not received would be lost`, {
      hint: `if ${cluster} is lost, or cut off for good: pgorbit site promote --force`,
    });
  }
  const none = Object.entries(groups).find(([, facts]) => facts.position === null);
  if (none !== undefined) throw new PgorbitError('unsafe', `group ${none[0]} has no running copy of the data here: it can't get a primary`, { hint: '`pgorbit status` shows what is the matter' });
  const epoch = nextEpoch(own.side, own.epoch, options.peerEpoch, own.handOver?.epoch ?? 0);
  return { ...own, role: 'primary', epoch, handOver: null, ends: null, note: `promoted by a person in epoch ${epoch}` };
}
