/** Faults that come together as a malicious mind would have them: each is a story in which a rule of the quorum is all that helps. */
import { acknowledgementsOf } from '../../src/group/decide/quorum.ts';
import type { MemberSpec } from '../../src/group/model.ts';
import type { Prng } from '../kernel/prng.ts';
import { ModelLogger } from '../model/logger.ts';
import { ModelPostgres } from '../model/postgres.ts';
import type { Server } from '../model/server.ts';
import { CLIENT_HOST, type World } from '../world/world.ts';
import type { Fault } from './fault.ts';
import { crashHost, freezeAgent, freezeHost, later } from './hosts.ts';
import { isolate } from './network.ts';

/** How late somebody who waits for a moment may see it. */
const LOOK_MS = 3;

export const CONSPIRACIES: Record<string, Fault> = {
  // The primary keeps one other host and its clients; that one may go and come back in the middle of it.
  'minority': (world, random) => {
    const server = world.disks.servers.find(({ open }) => open);
    if (server !== undefined) apart(world, random, server);
  },
  // The primary stands still for long enough to be superseded: what follows, atPromises says.
  'depose': (world, random) => {
    const server = world.disks.servers.find(({ open, process }) => open && !process.frozen);
    if (server !== undefined) freezeHost(world, random, server.host, random.int(3_000, 15_000));
  },
  // Whoever was superseded and does not know it comes back, and finds a friend and clients.
  'comeback': (world, random) => {
    const term = world.store.documents.record?.value.term ?? 0;
    const server = world.disks.servers.find((one) => one.open && one.folder.marker.term < term);
    if (server === undefined) return;
    wake(world);
    apart(world, random, server);
  },
  // The primary reaches one other host, which loses its power, comes back at once, and then is cut off itself.
  'bridge': (world, random) => {
    const server = world.disks.servers.find(({ open }) => open);
    if (server === undefined) return;
    const friends = friendly(world, random, server);
    if (friends.length === 0) return;
    const friend = random.pick(friends);
    cutOff(world, [server.host, CLIENT_HOST], world.hosts.filter((host) => host !== friend), random.int(4_000, 9_000));
    later(world, random.int(50, 400), () => crashHost(world, random, friend, random.int(50, 300)));
    later(world, random.int(1_000, 1_600), () => cutOff(world, [friend], world.hosts, random.int(4_000, 9_000)));
  },
  // A follower alone gets what the primary writes last, and its agent stands still: by old orders it follows whoever listens
  // where that primary did, and that is, much later, the same one once more.
  'forgotten': (world, random) => {
    const server = world.disks.servers.find(({ open }) => open);
    const followers = world.disks.servers.filter((one) => one instanceof ModelPostgres && one.inRecovery && one.host !== server?.host);
    // One such story at a time.
    const told = [...world.agents.values()].some(({ process }) => process.frozen);
    if (server === undefined || followers.length === 0 || told) return;
    const { host } = random.pick(followers);
    freezeAgent(world, random, host, random.int(15_000, 30_000));
    cutOff(world, [server.host, host, CLIENT_HOST], world.hosts, random.int(2_500, 5_000));
    for (let ms = 4_000; ms < 20_000; ms += 2_000) later(world, ms, () => giveBack(world, server.member));
  },
  // A replica is promoted and has its commits from loggers alone, its agent stands still just then, and its power goes: nobody
  // has heard of its timeline when the old primary comes back, which wrote on by itself, and is elected with those loggers.
  'unheard': (world, random) => {
    const server = world.disks.servers.find(({ open }) => open);
    const heirs = world.disks.servers.filter((one) => one instanceof ModelPostgres && one.inRecovery && one.host !== server?.host);
    const loggers = world.disks.servers.filter((one) => one instanceof ModelLogger);
    if (server === undefined || heirs.length === 0 || loggers.length === 0) return;
    const heir = random.pick(heirs);
    cutOff(world, [heir.host, ...loggers.map(({ host }) => host)], world.hosts, 15_000);
    once(world, 15_000, () => heir.open, () => {
      freezeAgent(world, random, heir.host, 20_000);
      later(world, random.int(200, 800), () => {
        // Longer than a promotion is waited for.
        crashHost(world, random, heir.host, random.int(16_000, 30_000));
        wake(world);
      });
    });
  },
  // A member goes, and its host does not hear that nobody expects it any more; meanwhile one of the same name comes
  // on another, or there as what it was not before.
  'namesake': (world, random) => {
    const { spec } = world;
    const leader = world.leader();
    const primary = world.store.documents.record?.value.primary;
    const gone = Object.values(spec.members).filter(({ name, host, role }) => (role === 'replica' || role === 'logger') && name !== primary && host !== leader?.host);
    if (leader === undefined || gone.length === 0) return;
    const member = random.pick(gone);
    world.trace(() => `manifest: ${member.name} goes from ${member.host}, and will come elsewhere`);
    leader.process.run(leader.apply((now) => ({ ...now, members: Object.fromEntries(Object.entries(now.members).filter(([name]) => name !== member.name)) })));
    once(world, 10_000, () => world.store.documents.record?.value.members[member.name] === undefined, () => {
      isolate(world, member.host, random.int(8_000, 20_000));
      const next = elsewhere(world, random, member);
      const agent = world.leader();
      agent?.process.run(agent.apply((now) => (now.members[member.name] === undefined ? { ...now, members: { ...now.members, [member.name]: next } } : now)));
    });
  },
  // A fuse: several hosts lose their power at the same moment.
  'blackout': (world, random) => {
    const primary = world.disks.servers.find(({ open }) => open)?.host;
    for (const host of world.hosts) if (host === primary ? random.chance(0.8) : random.chance(0.6)) crashHost(world, random, host);
  },
};

/** On another host, a free one where members have storage of their own; or there a logger instead of a replica, or the other way round. */
function elsewhere(world: World, random: Prng, { role, host, ...member }: MemberSpec): MemberSpec {
  const { storage, commit, members } = world.spec;
  if (storage === 'local' && commit === 'quorum' && random.chance(0.5)) return { ...member, host, role: role === 'logger' ? 'replica' : 'logger' };
  const others = world.hosts.filter((one) => one !== host);
  const free = storage === 'local' ? others.filter((one) => !Object.values(members).some((other) => other.host === one)) : [];
  return { ...member, role, host: random.pick(free.length > 0 ? free : others) };
}

/** Strikes at the first moment of the next `ms` in which `when` holds. */
function once(world: World, ms: number, when: () => boolean, strike: () => void): void {
  if (when()) strike();
  else if (ms > 0) later(world, LOOK_MS, () => once(world, ms - LOOK_MS, when, strike));
}

/** The hosts of other servers, or of loggers alone. */
function friendly(world: World, random: Prng, server: Server): string[] {
  const friends = world.disks.servers.filter((one) => one.host !== server.host);
  const loggers = friends.filter((one) => one instanceof ModelLogger);
  return (loggers.length > 0 && random.chance(0.5) ? loggers : friends).map(({ host }) => host);
}

function apart(world: World, random: Prng, server: Server): void {
  const friends = friendly(world, random, server);
  if (friends.length === 0) return;
  const friend = random.pick(friends);
  // An agent that stands still does not stop its primary.
  if (random.chance(0.5)) freezeAgent(world, random, server.host, random.int(3_000, 10_000));
  if (random.chance(0.5)) later(world, random.int(0, 1_000), () => crashHost(world, random, friend, random.int(200, 3_000)));
  conspire(world, server, [friend], random.int(2_500, 9_000));
}

function conspire(world: World, server: Server, friends: readonly string[], ms: number): void {
  const side = [server.host, ...friends, CLIENT_HOST];
  cutOff(world, side, world.hosts, ms);
}

/** A person wishes for the old primary. */
function giveBack(world: World, member: string): void {
  const agent = world.leader();
  const record = world.store.documents.record?.value;
  if (agent !== undefined && record?.primary !== member) agent.process.run(agent.operate({ kind: 'switchover', group: world.group, to: member }));
}

/** Nothing passes between those on the one side and the others, for a while. */
function cutOff(world: World, side: readonly string[], all: readonly string[], ms: number): void {
  const pairs = side.flatMap((one) => all.filter((other) => !side.includes(other)).flatMap((other): [string, string][] => [[one, other], [other, one]]));
  world.trace(() => `fault: ${side.join(', ')} are apart from the others`);
  for (const [from, to] of pairs) world.network.cut(from, to);
  world.clock.after(ms, () => {
    for (const [from, to] of pairs) world.network.mend(from, to);
  });
}

/**
 * The voters are being asked to promise. The old primary goes on in just that moment; and one who has promised may lose
 * its power before it hears who was elected, and wake up beside the old primary.
 */
export function atPromises(world: World, random: Prng, old: string): void {
  const server = world.disks.servers.find((one) => one.member === old && !one.inRecovery);
  if (server === undefined) return;
  wake(world);
  freezeAgent(world, random, server.host, random.int(9_000, 18_000));
  if (random.chance(0.5)) return;
  later(world, random.int(30, 150), () => {
    const friends = friendsOf(world, random, server);
    for (const friend of friends) crashHost(world, random, friend, random.int(50, 1_500));
    // Longer than the old primary holds the slot of one that went without a word.
    if (friends.length > 0) conspire(world, server, friends, random.int(7_000, 14_000));
  });
}

/** The primary will stop in a moment, and its successor no longer hears it, for longer than a WAL sender waits: what the others confirm meanwhile, that one lacks. */
export function atSwitchover(world: World, random: Prng, from: string, to: string): void {
  const [old, next] = [from, to].map((name) => world.disks.servers.find(({ member }) => member === name)?.host);
  if (old === undefined || next === undefined || old === next) return;
  world.trace(() => `fault: ${from} and ${to} are apart`);
  for (const [one, other] of [[old, next], [next, old]] as const) {
    world.network.cut(one, other);
    world.clock.after(random.int(5_200, 8_000), () => world.network.mend(one, other));
  }
}

/** The hosts of as many as the old primary's commits wait for, the new one's not among them. */
function friendsOf(world: World, random: Prng, old: Server): string[] {
  const record = world.store.documents.record?.value;
  const hosts = new Set(world.disks.servers.filter(({ member, host }) => host !== old.host && member !== (record?.promotion?.candidate ?? record?.primary)).map(({ host }) => host));
  const chosen: string[] = [];
  for (const count = acknowledgementsOf(record?.voters.length ?? 0); chosen.length < count && hosts.size > 0;) {
    const friend = random.pick([...hosts]);
    hosts.delete(friend);
    chosen.push(friend);
  }
  return chosen;
}

/** All that stand still go on, and all cut links are mended. */
export function wake(world: World): void {
  world.network.mendAll();
  for (const server of world.disks.servers) server.process.thaw();
  for (const agent of world.agents.values()) agent.process.thaw();
}
