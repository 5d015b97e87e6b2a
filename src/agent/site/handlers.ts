/** The calls about sites. The other site's agents may make some of them (rpc/server.ts), a person's command line all. */
import type { Agent } from '../agent.ts';
import { byLeader } from '../leader.ts';
import { isSite, siteNamed } from '../identity/ca.ts';
import { receives, recoveryPoints } from './leading.ts';
import { isSilence } from './peer-line.ts';
import type { CallContext, Handlers } from '../rpc/server.ts';
import { PgorbitError } from '../../errors.ts';
import { slotName } from '../../group/decide/goals.ts';
import { changeDocument } from '../../state/change.ts';
import { SITE_KEY } from '../../state/store.ts';
import { newSite, siteFollowerName, siteSlotName, type SiteDocument } from '../../site/document.ts';
import { otherSite, promoteSite, switchover } from '../../site/request.ts';

/** Once more, and with patience, before a site is taken for lost. ms */
const ASK_MS = 3_000;

export function siteHandlers(agent: Agent): Handlers {
  const { keeper } = agent;
  return {
    'GET /v1/site': byLeader(agent, 'GET /v1/site', async ({ from }) => keeper.answerTo(from)),
    'POST /v1/site/certificate': ofPeer(agent, byLeader(agent, 'POST /v1/site/certificate', ({ request }) => agent.enrolment.certifySite(request))),
    'POST /v1/site/admit': byLeader(agent, 'POST /v1/site/admit', async ({ request, peer }) => {
      const { site, cluster, secrets } = agent.view;
      if (cluster === null || secrets === null) throw new PgorbitError('state-conflict', `cluster ${agent.config.cluster} is only being made`, { hint: 'wait until `pgorbit up` is done there' });
      if (site !== null && site.document.peer.clusterId !== peer.clusterId) {
        throw new PgorbitError('unsafe', `cluster ${agent.config.cluster} has another site already: ${site.document.peer.cluster}`, { hint: `\`pgorbit site detach --cluster ${agent.config.cluster}\` lets go of it` });
      }
      if (site?.document.role === 'standby') throw new PgorbitError('unsafe', `cluster ${agent.config.cluster} is a standby itself`, { hint: `name the primary site: ${site.document.peer.cluster}` });
      const taken = Object.values(cluster.document.spec.groups).flatMap((group) => Object.keys(group.members)).find((name) => slotName(name) === siteSlotName(peer.cluster));
      if (taken !== undefined) throw new PgorbitError('unsafe', `cluster ${agent.config.cluster} has a member ${taken}, whose slot would be that of the other site`, { hint: 'give the new cluster another name' });
      const { ca, cert } = await agent.enrolment.certifySite(request);
      const document: SiteDocument = site === null ? newSite('primary', peer, 1) : { ...site.document, peer };
      await keeper.write(site?.revision ?? 0, document);
      agent.tell({ level: 'info', kind: 'site-added', message: `${peer.cluster} becomes the standby site of this cluster` });
      return { cluster: agent.config.cluster, clusterId: agent.config.clusterId, ...keeper.reachedAt(), ca, cert, epoch: document.epoch, secrets };
    }),
    'POST /v1/site/switchover': ofPeer(agent, byLeader(agent, 'POST /v1/site/switchover', async ({ to }, context) => {
      const { revision, document } = present(agent);
      const ask = keeper.ask(document);
      const wanted = to ?? otherSite(ask);
      const act = switchover(ask, wanted);
      if (act.do === 'ask-peer') {
        if (isSite(context.caller)) throw new PgorbitError('state-conflict', 'the two sites do not agree yet who is the primary one', { hint: 'try again in a moment' });
        return keeper.line.call(document.peer, 'POST /v1/site/switchover', { to: wanted }, { timeoutMs: ASK_MS, signal: context.signal });
      }
      if (act.do === 'write') {
        await keeper.write(revision, act.document);
        agent.tell({ level: 'info', kind: 'site-switchover', message: `${wanted} is asked to be the primary site` });
      }
      return { to: wanted };
    })),
    'POST /v1/site/promote': byLeader(agent, 'POST /v1/site/promote', async ({ force }, context) => {
      const { revision, document } = present(agent);
      const peer = await peerNow(agent, document, context.signal);
      // Whoever still sends WAL lives, whatever became of the agents there.
      const sends = !peer.answers && document.role === 'standby' && (await receives(agent, context.signal));
      const next = promoteSite(keeper.ask(document), { force, answers: peer.answers || sends, peerEpoch: Math.max(peer.epoch, keeper.heard?.answer.site?.epoch ?? 0, keeper.heard?.answer.site?.handOver?.epoch ?? 0) });
      if (next === null) return { epoch: document.epoch, points: {} };
      const points = await recoveryPoints(agent, context.signal);
      await keeper.write(revision, next);
      agent.tell({ level: 'warning', kind: 'site-promoted', message: `a person made this site the primary one in epoch ${next.epoch}, without ${document.peer.cluster}` });
      return { epoch: next.epoch, points };
    }, 60_000),
    'POST /v1/site/detach': ofPeer(agent, byLeader(agent, 'POST /v1/site/detach', async ({ leaving }, context) => {
      const { document } = present(agent);
      let told = true;
      if (!isSite(context.caller)) {
        try {
          await keeper.line.call(document.peer, 'POST /v1/site/detach', {}, { timeoutMs: ASK_MS, signal: context.signal });
        } catch (error) {
          if (!(error instanceof PgorbitError)) throw error;
          told = error.code === 'usage';
        }
      }
      if (leaving === true) return { told, peer: document.peer.cluster };
      // Whatever it has become meanwhile: also what the other one's answer has made of it already.
      await changeDocument<SiteDocument>(agent.store, SITE_KEY, () => null);
      agent.decider.soon();
      agent.tell({ level: 'warning', kind: 'site-detached', message: `this cluster is on its own now: ${document.peer.cluster} is no site of it any more` });
      return { told, peer: document.peer.cluster };
    }, 15_000)),
  };
}

/** A call that the other site may make, and no site of a time that is over. */
function ofPeer<R, A>(agent: Agent, handler: (request: R, context: CallContext) => Promise<A>): (request: R, context: CallContext) => Promise<A> {
  return async (request, context) => {
    const peer = agent.view.site?.document.peer.cluster;
    if (isSite(context.caller) && (peer === undefined || context.caller !== siteFollowerName(peer))) {
      throw new PgorbitError('usage', `${siteNamed(context.caller)} is no site of cluster ${agent.config.cluster}`);
    }
    return handler(request, context);
  };
}

function present(agent: Agent): { revision: number; document: SiteDocument } {
  if (agent.view.site !== null) return agent.view.site;
  throw new PgorbitError('usage', `cluster ${agent.config.cluster} is on its own: it has no other site`, { hint: '`standby_of` in the manifest of another cluster makes that one a site of this' });
}

async function peerNow(agent: Agent, { peer }: SiteDocument, signal: AbortSignal): Promise<{ answers: boolean; epoch: number }> {
  try {
    const { site } = await agent.keeper.line.call(peer, 'GET /v1/site', { from: agent.config.clusterId }, { timeoutMs: ASK_MS, signal });
    return { answers: true, epoch: site?.epoch ?? 0 };
  } catch (error) {
    if (!isSilence(error)) throw error;
    // An agent there that hears of no leader answers by saying so: its site is down as far as anybody can tell.
    return { answers: false, epoch: 0 };
  }
}
