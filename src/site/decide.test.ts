import { describe, expect, test } from 'vitest';
import type { SiteAnswer } from './answer.ts';
import { decideSite, type GroupFacts, type SiteInput } from './decide.ts';
import { newSite, nextEpoch, type HandOver, type PeerSite, type SiteDocument } from './document.ts';
import { promoteSite, switchover, type Ask } from './request.ts';

const peer: PeerSite = { cluster: 'b', clusterId: 'id-b', agents: [], addresses: [], ca: '', cert: '', key: '' };
const site = (role: SiteDocument['role'], patch: Partial<SiteDocument> = {}): SiteDocument => ({ ...newSite(role, peer, 1), ...patch });
const facts = (state: GroupFacts['state'], lsn: string | null = '0/100', timeline = 1): GroupFacts =>
  ({ state, end: state === 'stopped' && lsn !== null ? { timeline, lsn } : null, position: lsn === null ? null : { timeline, lsn } });
const answer = (of: Partial<NonNullable<SiteAnswer['site']>> | null, group: Partial<SiteAnswer['groups'][string]> = {}): SiteAnswer => ({
  cluster: 'b', clusterId: 'id-b', site: of === null ? null : { role: 'standby', epoch: 1, handOver: null, declined: 0, ...of }, agents: [], addresses: [], ca: '',
  groups: { main: { systemIdentifier: '7', leader: null, writable: false, streaming: true, position: { timeline: 1, lsn: '0/100' }, timelines: [], newest: 1, ...group } },
});
const decide = (own: SiteDocument, of: SiteAnswer | null, groups: Record<string, GroupFacts> = { main: facts('ready') }, patch: Partial<SiteInput> = {}): ReturnType<typeof decideSite> =>
  decideSite({ own, self: 'id-a', answer: of, groups, now: 0, timers: {}, ...patch });
const handOver = (patch: Partial<HandOver> = {}): HandOver => ({ epoch: 2, to: 'id-b', step: 'stop', ends: {}, ...patch });

test('epochs of the two sides are never the same', () => {
  expect([nextEpoch(1, 0), nextEpoch(0, 1), nextEpoch(1, 1), nextEpoch(0, 3, 2), nextEpoch(1, 4)]).toEqual([1, 2, 3, 4, 5]);
});

describe('the primary site', () => {
  test('gives way to a primary of a later epoch, and to no other', () => {
    expect(decide(site('primary'), answer({ role: 'primary', epoch: 2 })).document).toMatchObject({ role: 'standby', epoch: 2 });
    for (const of of [answer({ role: 'primary', epoch: 0 }), answer({ epoch: 2 }), null]) {
      const own = site('primary');
      expect(decide(own, of).document).toBe(own);
    }
  });

  test('hands over step by step, and writes the ends down together with its new role', () => {
    const begun = site('primary', { handOver: handOver({ step: 'checkpoint' }) });
    expect(decide(begun, null).document).toBe(begun);
    const stopping = decide(begun, null, { main: facts('checkpointed') }).document!;
    expect(stopping).toMatchObject({ role: 'primary', handOver: { step: 'stop', ends: {} } });
    const two = { main: facts('stopped', '0/180'), side: facts('checkpointed') };
    expect(decide(stopping, null, two).document).toBe(stopping);
    expect(decide(stopping, null, { ...two, side: facts('stopped', '0/200') }).document).toMatchObject({
      role: 'standby', epoch: 1, handOver: { epoch: 2, step: 'done', ends: { main: { timeline: 1, lsn: '0/180' }, side: { timeline: 1, lsn: '0/200' } } },
    });
  });

  test('takes the hand-over back where a primary fell, is not heard of, or takes too long', () => {
    const own = site('primary', { handOver: handOver() });
    expect(decide(own, null, { main: facts('failed') }).document).toMatchObject({ role: 'primary', epoch: 1, handOver: null, note: expect.stringMatching(/did not stop cleanly/) });
    const unknown = { main: facts('unknown') };
    const first = decide(own, null, unknown);
    expect(first.document).toBe(own);
    expect(decide(own, null, unknown, { now: 6_000, timers: first.timers }).document).toMatchObject({ handOver: null, note: expect.stringMatching(/not heard of/) });
    expect(decide(own, null, { main: facts('ready') }, { now: 61_000, timers: first.timers }).document).toMatchObject({ handOver: null, note: expect.stringMatching(/did not stop within 60 s/) });
  });

  test('is a cluster on its own when the other says that it is, and only then', () => {
    expect(decide(site('primary'), answer(null)).document).toBeNull();
    const own = site('standby');
    expect(decide(own, answer(null)).document).toBe(own);
  });
});

describe('the standby site', () => {
  const ends = { main: { timeline: 1, lsn: '0/180' } };
  const offered = answer({ handOver: { epoch: 2, to: 'id-a', step: 'done', ends } });

  test('takes over when each of its groups has all of what was handed over, on that timeline', () => {
    const own = site('standby');
    for (const has of [facts('unknown', '0/178'), facts('unknown', '0/180', 2), facts('unknown', null)]) expect(decide(own, offered, { main: has }).document).toBe(own);
    expect(decide(own, offered, { main: facts('unknown', '0/180'), side: facts('unknown', '0/180') }).document).toBe(own);
    expect(decide(own, offered, { main: facts('unknown', '0/180') }).document).toMatchObject({ role: 'primary', epoch: 2, ends });
  });

  test('takes nothing that is not whole, not for it, or of an epoch that it knows', () => {
    const all = { main: facts('unknown', '0/200') };
    const none = (own: SiteDocument, of: Partial<HandOver>, role: 'primary' | 'standby' = 'standby'): void => {
      expect(decide(own, answer({ role, handOver: { epoch: 2, to: 'id-a', step: 'done', ends, ...of } }), all).document).toBe(own);
    };
    none(site('standby'), { step: 'stop' }, 'primary');
    none(site('standby'), { to: 'id-c' });
    none(site('standby', { epoch: 2, declined: 2 }), {});
  });

  test('goes on after a hand-over only when the other has declined that very one', () => {
    const own = site('standby', { side: 1, handOver: handOver({ step: 'done', ends }) });
    for (const of of [answer({ epoch: 2 }), answer({ epoch: 4, declined: 4 }), answer({ epoch: 1 })]) expect(decide(own, of).document).toBe(own);
    expect(decide(own, answer({ epoch: 2, declined: 2 })).document).toMatchObject({ role: 'primary', epoch: 3, ends, handOver: null });
  });
});

describe('a person', () => {
  const ask = (own: SiteDocument, of: SiteAnswer | null, group: GroupFacts & { busy?: string } = facts('ready')): Ask =>
    ({ own, self: { cluster: 'a', clusterId: 'id-a' }, answer: of, groups: { main: { busy: null, ...group } } });

  test('asks for a switchover when everything is in order', () => {
    expect(switchover(ask(site('primary'), answer({})), 'b')).toMatchObject({ do: 'write', document: { role: 'primary', epoch: 1, handOver: { epoch: 2, to: 'id-b', step: 'checkpoint' } } });
    expect(switchover(ask(site('standby'), answer({ role: 'primary' })), 'a')).toEqual({ do: 'ask-peer' });
  });

  test.each([
    ['the other does not answer', null, facts('ready'), /does not answer/],
    ['the other has not heard of this epoch', answer({ epoch: 0 }), facts('ready'), /no standby of this site/],
    ['the other is no standby', answer({ role: 'primary', epoch: 0 }), facts('ready'), /no standby of this site/],
    ['a group does not stream there', answer({}, { streaming: false }), facts('ready'), /does not stream/],
    ['a group lacks much', answer({}), facts('ready', '0/4000000'), /lacks 64 MB/],
    ['a group is not there', { ...answer({}), groups: {} }, facts('ready'), /has no group main/],
    ['there is no primary', answer({}), facts('unknown'), /no running primary/],
  ])('is refused a switchover when %s', (_why, of, group, message) => {
    expect(() => switchover(ask(site('primary'), of, group), 'b')).toThrow(message);
  });

  test('withdraws a hand-over at the site that was offered it', () => {
    const offered = answer({ handOver: { epoch: 2, to: 'id-a', step: 'done', ends: {} } });
    expect(switchover(ask(site('standby'), offered), 'b')).toMatchObject({ do: 'write', document: { role: 'standby', epoch: 2, declined: 2 } });
  });

  test('promotes only by force, and never while the other answers', () => {
    const own = site('standby', { side: 0 });
    const options = { force: true, answers: false, peerEpoch: 3 };
    expect(() => promoteSite(ask(own, null), { ...options, answers: true })).toThrow(/two sites would accept writes/);
    expect(() => promoteSite(ask(own, null), { ...options, force: false })).toThrow(/does not prove that it is lost/);
    expect(() => promoteSite(ask(own, null, facts('unknown', null)), options)).toThrow(/no running copy/);
    expect(promoteSite(ask(own, null), options)).toMatchObject({ role: 'primary', epoch: 4, ends: null });
    expect(promoteSite(ask(site('primary'), null), options)).toBeNull();
  });
});
