/** An agent asks the other site before its primaries start; the two speak over real connections. */
import { expect, it, onTestFinished } from 'vitest';
import { silentLog } from '../../observe/log.ts';
import type { SiteAnswer } from '../../site/answer.ts';
import { newSite, type SiteDocument } from '../../site/document.ts';
import type { ClusterView } from '../documents.ts';
import { certifySite } from '../identity/ca.ts';
import { makeKey, publicKeyOf } from '../identity/request.ts';
import { startRpcServer } from '../rpc/server.ts';
import { testCluster } from '../testing/identities.ts';
import { SiteGate } from './gate.ts';

/** This site is primary in epoch 1; what the other one answers may be changed. */
async function setUp(): Promise<{ gate: SiteGate; view: { site: { revision: number; document: SiteDocument } | null }; answer: SiteAnswer; asked: string[]; changes: () => number }> {
  const there = await testCluster('id-b');
  const answer: SiteAnswer = { cluster: 'b', clusterId: 'id-b', site: { role: 'standby', epoch: 1, handOver: null, declined: 0 }, agents: [], addresses: [], ca: '', groups: {} };
  const asked: string[] = [];
  const { port, close } = await startRpcServer({
    address: '127.0.0.1', port: 0, identity: await there.host('h1'), log: silentLog(),
    handlers: {
      'GET /v1/site': async ({ from }, { caller }) => {
        asked.push(`${caller} ${from}`);
        return answer;
      },
    },
  });
  const key = makeKey();
  const peer = { cluster: 'b', clusterId: 'id-b', agents: [{ host: 'h1', address: '127.0.0.1', port }], addresses: [], ca: there.authority.cert, cert: await certifySite(there.authority, 'a', publicKeyOf(key)), key };
  const view = { site: { revision: 1, document: newSite('primary', peer, 1) } };
  let changes = 0;
  const gate = new SiteGate({ clusterId: 'id-a', view: view as unknown as ClusterView, store: { leadership: () => ({ leader: null, self: false, term: 1 }) }, onChange: () => (changes += 1), log: silentLog() });
  onTestFinished(async () => {
    gate.close();
    await close();
  });
  return { gate, view, answer, asked, changes: () => changes };
}

it('lets the site go on when the other one says that it is the standby', async () => {
  const { gate, asked } = await setUp();
  await gate.pass(new AbortController().signal);
  expect(gate.superseded()).toBe(false);
  expect(asked).toEqual(['site:a id-a']);
});

it('holds everything back when the other one is the primary of a later epoch, until the documents say so, too', async () => {
  const { gate, view, answer, changes } = await setUp();
  answer.site = { role: 'primary', epoch: 2, handOver: null, declined: 0 };
  let passed = false;
  const passing = gate.pass(new AbortController().signal).then(() => (passed = true));
  await expect.poll(() => gate.superseded()).toBe(true);
  expect([passed, changes()]).toEqual([false, 1]);
  view.site = { revision: 2, document: { ...view.site!.document, role: 'standby', epoch: 2 } };
  await passing;
  expect(gate.superseded()).toBe(false);
});

it('heeds neither an earlier epoch nor the answer of another cluster', async () => {
  const { gate, answer } = await setUp();
  answer.site = { role: 'primary', epoch: 1, handOver: null, declined: 0 };
  await gate.pass(new AbortController().signal);
  expect(gate.superseded()).toBe(false);
  Object.assign(answer, { clusterId: 'id-c', site: { role: 'primary', epoch: 9, handOver: null, declined: 0 } });
  await gate.pass(new AbortController().signal);
  expect(gate.superseded()).toBe(false);
});

it('asks nobody where the cluster is on its own, or the standby site', async () => {
  const { gate, view, asked } = await setUp();
  view.site = { revision: 2, document: { ...view.site!.document, role: 'standby' } };
  await gate.pass(new AbortController().signal);
  view.site = null;
  await gate.pass(new AbortController().signal);
  expect(asked).toEqual([]);
});
