/** The calls about who belongs to the cluster. Guests, who have no certificate, may make three of them (rpc/server.ts). */
import type { Agent } from './agent.ts';
import { ADMIN, certificatesIn, fingerprintOf } from './identity/ca.ts';
import { byLeader } from './leader.ts';
import { GUEST, type Handlers } from './rpc/server.ts';
import { PgorbitError } from '../errors.ts';

export function enrolmentHandlers(agent: Agent): Handlers {
  const { enrolment, view, credentials } = agent;
  return {
    'GET /v1/ca': async () => ({ ca: credentials.identity.ca }),
    'GET /v1/trust': async () => ({ trusts: certificatesIn(credentials.identity.ca).map(fingerprintOf) }),
    'POST /v1/renew': async () => agent.renewCertificate(),
    'GET /v1/hosts': byLeader(agent, 'GET /v1/hosts', async () => ({
      agents: Object.entries(view.agents ?? {}).map(([host, { address, port }]) => ({ host, address, port })),
      tokens: Object.entries(view.tokens ?? {}).flatMap(([key, { expires, used }]) =>
        (key.startsWith('join/') ? [{ host: key.slice('join/'.length), expires: new Date(expires).toISOString(), used: used !== null }] : [])),
    })),
    'POST /v1/token': byLeader(agent, 'POST /v1/token', (request) => enrolment.token(request)),
    'POST /v1/join': byLeader(agent, 'POST /v1/join', (request) => enrolment.join(request)),
    'POST /v1/login': byLeader(agent, 'POST /v1/login', (request) => enrolment.login(request)),
    'POST /v1/certificate': byLeader(agent, 'POST /v1/certificate', ({ request }) => enrolment.certify(request)),
    'POST /v1/rotate': byLeader(agent, 'POST /v1/rotate', ({ step }) => enrolment.rotateAuthority(step)),
    'POST /v1/announce': byLeader(agent, 'POST /v1/announce', async (request, { caller }) => {
      if (caller === ADMIN || caller === GUEST) throw new PgorbitError('usage', 'only an agent says where it is');
      return { known: await enrolment.announce(caller, request) };
    }),
  };
}
