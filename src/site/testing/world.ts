/**
 * Two sites with one group each, for exploring: the documents and decisions are the real ones; WAL is a list of writes,
 * and what a person, the network, a crash or a server may do next is chosen by whoever explores.
 */
import { PgorbitError } from '../../errors.ts';
import type { SiteAnswer } from '../answer.ts';
import { decideSite, type GroupFacts } from '../decide.ts';
import { newSite, type PeerSite, type SiteDocument } from '../document.ts';
import { promoteSite, switchover } from '../request.ts';

export type Name = 'a' | 'b';
export const other = (name: Name): Name => (name === 'a' ? 'b' : 'a');

/** `down`: stopped cleanly for the hand-over; `torn`: it fell; `following`: a standby. */
type Server = 'writing' | 'checkpointed' | 'down' | 'torn' | 'following';

export interface Site {
  document: SiteDocument;
  /** In the memory of whoever leads; lost with it. */
  answer: SiteAnswer | null;
  /** On its way here. */
  flying: SiteAnswer | null;
  server: Server;
  timeline: number;
  /** Every write, in order. */
  wal: string[];
}

export interface World {
  a: Site;
  b: Site;
  /** What clients were promised. */
  acknowledged: string[];
  /** A person promoted a site without the other: from then on a loss is possible. */
  forced: boolean;
  /** Of each kind of event this many may still happen. */
  left: { writes: number; wishes: number; crashes: number; falls: number; forces: number };
}

const peer = (cluster: string): PeerSite => ({ cluster, clusterId: cluster, agents: [], addresses: [], ca: '', cert: '', key: '' });
const END = (site: Site): { timeline: number; lsn: string } => ({ timeline: site.timeline, lsn: `0/${site.wal.length.toString(16)}` });

export function founded(left: World['left']): World {
  const site = (role: SiteDocument['role'], of: Name): Site => ({ document: newSite(role, peer(of), 1), answer: null, flying: null, server: role === 'primary' ? 'writing' : 'following', timeline: 1, wal: [] });
  return { a: site('primary', 'b'), b: site('standby', 'a'), acknowledged: [], forced: false, left };
}

/** What the site would say now. */
function said(world: World, name: Name): SiteAnswer {
  const site = world[name];
  const { role, epoch, handOver, declined } = site.document;
  const writable = site.server === 'writing' || site.server === 'checkpointed';
  return {
    cluster: name, clusterId: name, site: { role, epoch, handOver, declined }, agents: [], addresses: [], ca: '',
    groups: { main: { systemIdentifier: '7', leader: null, writable, streaming: site.server === 'following' && site.timeline === world[other(name)].timeline, position: END(site), timelines: [], newest: site.timeline } },
  };
}

function facts(site: Site): GroupFacts & { busy: null } {
  const states: Record<Server, GroupFacts['state']> = { writing: 'ready', checkpointed: 'checkpointed', down: 'stopped', torn: 'failed', following: 'unknown' };
  return { state: states[site.server], end: site.server === 'down' ? END(site) : null, position: site.server === 'torn' ? null : END(site), busy: null };
}

/** Where two histories part. */
function common(a: readonly string[], b: readonly string[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}

export interface Event {
  name: string;
  /** A person's wish, or something that goes wrong: the rest is what happens by itself. */
  rare?: true;
  apply: (world: World) => void;
}

/** Everything that may happen next. */
export function events(world: World): Event[] {
  return (['a', 'b'] as const).flatMap((name) => eventsAt(world, name));
}

/** What an event may change is copied; documents and answers are replaced as a whole. */
export function copyOf(world: World): World {
  const site = (one: Site): Site => ({ ...one, wal: [...one.wal] });
  return { ...world, a: site(world.a), b: site(world.b), acknowledged: [...world.acknowledged], left: { ...world.left } };
}

/** The same for worlds that are the same. */
export function keyOf({ a, b, acknowledged, forced, left }: World): string {
  const site = ({ document, answer, flying, server, timeline, wal }: Site): unknown => {
    const { role, epoch, handOver, declined, ends } = document;
    return [role, epoch, handOver, declined, ends, short(answer), short(flying), server, timeline, wal];
  };
  return JSON.stringify([site(a), site(b), acknowledged.length, forced, left]);
}

const short = (answer: SiteAnswer | null): unknown => (answer === null ? null : [answer.site, answer.groups['main']?.writable, answer.groups['main']?.streaming, answer.groups['main']?.position]);

function eventsAt(world: World, name: Name): Event[] {
  const site = world[name];
  const { document, server } = site;
  const found: Event[] = [
    { name: `${name} decides`, apply: (next) => decide(next[name], name) },
  ];
  const when = (condition: boolean, what: string, apply: (next: World) => void): void => {
    if (condition) found.push({ name: `${name} ${what}`, apply, ...(/^(is asked|is forced|falls|forgets)/.test(what) ? { rare: true } : {}) });
  };
  when(site.flying === null && JSON.stringify(said(world, other(name))) !== JSON.stringify(site.answer), 'asks', (next) => void (next[name].flying = said(next, other(name))));
  when(site.flying !== null, 'hears', (next) => {
    next[name].answer = next[name].flying;
    next[name].flying = null;
  });
  when(world.left.writes > 0 && (server === 'writing' || server === 'checkpointed'), 'writes', (next) => {
    next.left.writes -= 1;
    const write = `${name}${next.left.writes}`;
    next[name].wal.push(write);
    next.acknowledged.push(write);
  });
  when(server === 'following', 'receives', (next) => receive(next, name));
  when(server !== wantedOf(site), `is ${wantedOf(site)}`, (next) => settle(next[name]));
  when(world.left.falls > 0 && document.handOver?.step === 'stop' && (server === 'checkpointed' || server === 'writing'), 'falls', (next) => {
    next.left.falls -= 1;
    next[name].server = 'torn';
  });
  when(world.left.crashes > 0 && (site.answer !== null || site.flying !== null), 'forgets', (next) => {
    next.left.crashes -= 1;
    next[name].answer = null;
    next[name].flying = null;
  });
  for (const to of ['a', 'b'] as const) when(world.left.wishes > 0, `is asked for ${to}`, (next) => wish(next, name, to));
  when(world.left.forces > 0 && document.role === 'standby', 'is forced', (next) => {
    next.left.forces -= 1;
    next.forced = true;
    const one = next[name];
    const peerEpoch = Math.max(one.answer?.site?.epoch ?? 0, one.answer?.site?.handOver?.epoch ?? 0);
    orRefused(() => void (one.document = promoteSite(askOf(one, name), { force: true, answers: false, peerEpoch }) ?? one.document));
  });
  return found;
}

const askOf = (site: Site, name: Name) => ({ own: site.document, self: { cluster: name, clusterId: name }, answer: site.answer, groups: { main: facts(site) } });

function decide(site: Site, name: Name): void {
  site.document = decideSite({ own: site.document, self: name, answer: site.answer, groups: { main: facts(site) }, now: 0, timers: {} }).document ?? site.document;
}

function wish(world: World, name: Name, to: Name): void {
  world.left.wishes -= 1;
  orRefused(() => {
    const act = switchover(askOf(world[name], name), to);
    if (act.do === 'write') world[name].document = act.document;
    if (act.do !== 'ask-peer') return;
    const there = switchover(askOf(world[other(name)], other(name)), to);
    if (there.do === 'write') world[other(name)].document = there.document;
  });
}

function orRefused(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof PgorbitError)) throw error;
  }
}

/** What the group's decider brings about from the document. */
function wantedOf({ document, server, wal, timeline }: Site): Server {
  if (document.role === 'standby') return 'following';
  if (document.handOver?.step === 'checkpoint') return server === 'writing' ? 'checkpointed' : server;
  if (document.handOver?.step === 'stop') return server === 'torn' ? 'torn' : 'down';
  const end = document.ends?.['main'];
  const has = end === undefined || (timeline === end.timeline && wal.length >= Number.parseInt(end.lsn.slice(2), 16));
  return server === 'following' && !has ? 'following' : 'writing';
}

function settle(site: Site): void {
  const wanted = wantedOf(site);
  // A promotion opens a timeline of this side's own.
  if (site.server === 'following' && wanted === 'writing') {
    site.timeline = site.timeline + 1 + ((site.timeline + 1) % 2 === site.document.side ? 0 : 1);
    site.document = { ...site.document, ends: null };
  }
  site.server = wanted;
}

/** A primary's WAL, and a former one's that runs as a standby; what contradicts a primary of a later epoch is taken back. */
function receive(world: World, name: Name): void {
  const site = world[name];
  const from = world[other(name)];
  if (from.server === 'torn' || from.server === 'down') return;
  const shared = common(site.wal, from.wal);
  if (shared < site.wal.length) {
    if (from.document.role !== 'primary' || from.document.epoch < site.document.epoch || from.server === 'following') return;
    site.wal = site.wal.slice(0, shared);
  }
  if (site.wal.length < from.wal.length) site.wal.push(from.wal[site.wal.length]!);
  // What was promoted by force and gave up is copied anew by whoever is the primary site, whatever its timeline.
  if (site.wal.length === from.wal.length) site.timeline = from.server === 'following' ? Math.max(site.timeline, from.timeline) : from.timeline;
}
