/** Which group a seed is about: storage, commit, members and their hosts, who votes among the agents. */
import { GROUP } from '../../src/manifest/defaults.ts';
import type { Commit, GroupSpec, MemberSpec, Role, Storage } from '../../src/group/model.ts';
import type { Prng } from '../kernel/prng.ts';

export const TOPOLOGIES = ['shared-async', 'shared-quorum', 'local-quorum', 'local-async'] as const;
export type TopologyName = (typeof TOPOLOGIES)[number];

export interface Topology {
  name: TopologyName;
  spec: GroupSpec;
  hosts: string[];
  voters: string[];
}

/** Names of members: those of the group, and that of a standby, which groups with storage of their own may have. */
export const NAMES = ['n1', 'n2', 'n3', 'n4', 'n5'];
export const STANDBY = 's1';

export const memberSpec = (name: string, host: string, role: Role): MemberSpec => ({ name, host, role, port: 5431 + NAMES.indexOf(name), volume: null, path: null, source: null, rate: null });

/** It takes its WAL from whom it is told to, a logger above all: there is where the rules are. */
export const standbySpec = (random: Prng, hosts: readonly string[]): MemberSpec => ({
  ...memberSpec(STANDBY, random.pick(hosts), 'standby'), source: random.weighted([[3, 'logger'], [1, 'replica'], [1, null]]),
});

/** @param name null: the seed draws it. */
export function drawTopology(random: Prng, name: TopologyName | null): Topology {
  const drawn = random.weighted<TopologyName>([[5, 'shared-async'], [2, 'shared-quorum'], [9, 'local-quorum'], [4, 'local-async']]);
  const kind = name ?? drawn;
  const [storage, commit] = kind.split('-') as [Storage, Commit];
  const big = random.chance(0.4);
  const hosts = storage === 'local' && big ? ['h1', 'h2', 'h3', 'h4', 'h5'] : ['h1', 'h2', 'h3'];
  const voters = random.chance(storage === 'shared' ? 0.4 : 0.1) ? ['h1'] : hosts.slice(0, random.chance(0.3) ? 3 : hosts.length);
  const count = storage === 'shared' ? random.int(2, 4) : commit === 'quorum' ? (big ? random.pick([3, 5, 5]) : 3) : random.int(2, hosts.length);
  const loggers = storage === 'local' && commit === 'quorum' ? random.int(0, (count - 1) / 2) : 0;
  const members = Object.fromEntries(NAMES.slice(0, count).map((member, i) => {
    const host = storage === 'shared' ? random.pick(hosts) : hosts[i]!;
    return [member, memberSpec(member, host, i === 0 ? 'primary' : i >= count - loggers ? 'logger' : 'replica')];
  }));
  const spec: GroupSpec = {
    ...GROUP, name: 'main', storage, volume: storage === 'shared' ? 'main' : null, commit, settings: {}, failover: random.chance(0.85) ? 'automatic' : 'manual',
    recloneAbove: 0.5, checkpoint: 'fast', joinLagBytes: random.pick([8, 200]), membershipTimeoutMs: random.pick([3_000, 15_000]),
    withoutMajority: random.chance(0.8) ? 'stop' : 'run', members,
  };
  if (storage === 'local' && random.chance(0.3)) spec.members[STANDBY] = standbySpec(random, hosts);
  return { name: kind, spec, hosts, voters };
}
