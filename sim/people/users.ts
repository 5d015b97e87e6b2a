/** What people ask for, at random: operations, and members that come and go with the manifest. */
import type { GroupSpec, MemberSpec, OperateRequest } from '../../src/group/model.ts';
import type { Prng } from '../kernel/prng.ts';
import { memberSpec, NAMES, STANDBY, standbySpec } from '../world/topology.ts';
import type { World } from '../world/world.ts';

/** `edits`: only members that come and go. `loggers`: only one that stores WAL alone, and a standby of it. `switchovers`: nothing else. `hectic`: everything, many times a second. */
export type Wishes = 'all' | 'edits' | 'loggers' | 'switchovers' | 'hectic';

const PACES: Record<Wishes, readonly number[]> = { all: [1_500, 6_000, 20_000], edits: [1_000, 3_000], loggers: [4_000], switchovers: [3_000], hectic: [100] };

export class Users {
  #on = true;

  constructor(world: World, random: Prng, wishes: Wishes) {
    const mean = random.pick(PACES[wishes]);
    const careless = random.chance(0.3);
    const act = (): void => {
      if (!this.#on) return;
      const edits = wishes === 'edits' || wishes === 'loggers' || (wishes !== 'switchovers' && random.chance(0.3));
      const agent = world.leader();
      // Without a leader there is nobody to ask.
      if (agent !== undefined && edits) agent.process.run(agent.apply((spec) => (wishes === 'loggers' ? editLoggers(spec, random, world.hosts) : edit(world, spec, random, careless))));
      else if (agent !== undefined) agent.process.run(agent.operate(wishes === 'switchovers' ? { kind: 'switchover', group: world.group, to: null } : draw(world, random)));
      world.clock.after(random.gap(mean), act);
    };
    world.clock.after(random.gap(mean), act);
  }

  stop(): void {
    this.#on = false;
  }
}

function draw(world: World, random: Prng): OperateRequest {
  const group = world.group;
  const names = Object.keys(world.spec.members);
  const some = (): string[] | null => (random.chance(0.5) ? null : [random.pick(names)]);
  return random.weighted<OperateRequest>([
    [4, { kind: 'switchover', group, to: random.chance(0.5) ? null : random.pick(names) }],
    [3, { kind: 'promote', group, member: random.pick(names), force: true }],
    [2, { kind: 'restart', group, members: some() }],
    [1, { kind: 'reload', group, members: some() }],
    [2, { kind: 'reclone', group, members: some(), drainMs: random.int(500, 15_000) }],
  ]);
}

/** Adds or removes a member. The careful leave the primary alone, as the CLI does. */
function edit(world: World, spec: GroupSpec, random: Prng, careless: boolean): GroupSpec {
  const { members } = spec;
  const name = random.pick(spec.storage === 'local' ? [...NAMES, STANDBY] : NAMES);
  const kept = { ...members };
  const primary = world.store.documents.record?.value.primary ?? 'n1';
  if (members[name] === undefined) kept[name] = newcomer(world, spec, name, random);
  else if (Object.keys(members).length > 1 && (careless || name !== primary)) delete kept[name];
  else return spec;
  // A manifest always names one primary, and loggers alone hold no data.
  if (!Object.values(kept).some(({ role }) => role === 'primary')) {
    const heir = Object.values(kept).find(({ role }) => role === 'replica');
    if (heir === undefined) return spec;
    kept[heir.name] = { ...heir, role: 'primary' };
  }
  world.trace(() => `manifest: ${Object.values(kept).map((one) => `${one.name}@${one.host}${one.role === 'logger' ? ' (logger)' : one.role === 'standby' ? ` (standby of ${one.source ?? 'the primary'})` : ''}`).join(' ')}`);
  return { ...spec, members: kept };
}

/** A logger and a standby of it come and go. */
function editLoggers(spec: GroupSpec, random: Prng, hosts: readonly string[]): GroupSpec {
  const members: Record<string, MemberSpec> = { ...spec.members };
  const logger = NAMES.at(-1)!;
  const name = random.pick([logger, STANDBY]);
  if (members[name] !== undefined) delete members[name];
  else members[name] = name === logger ? memberSpec(logger, hosts.at(-1)!, 'logger') : { ...standbySpec(random, hosts), source: 'logger' };
  return { ...spec, members };
}

/** On storage of their own members stay on different hosts, where there are enough. A name keeps its role. */
function newcomer(world: World, spec: GroupSpec, name: string, random: Prng): MemberSpec {
  if (name === STANDBY) return standbySpec(random, world.hosts);
  const taken = new Set(Object.values(spec.members).filter(({ role }) => role !== 'standby').map(({ host }) => host));
  const free = spec.storage === 'local' ? world.hosts.filter((host) => !taken.has(host)) : [];
  const logger = spec.storage === 'local' && spec.commit === 'quorum' && random.chance(0.25);
  return memberSpec(name, random.pick(free.length > 0 ? free : world.hosts), logger ? 'logger' : 'replica');
}
