/** What people ask for, at random: operations, and members that come and go with the manifest. */
import type { GroupSpec, MemberSpec, OperateRequest } from '../src/group/model.ts';
import { GROUP } from '../src/manifest/defaults.ts';
import type { Prng } from './prng.ts';
import { HOSTS, type World } from './world.ts';

const NAMES = ['n1', 'n2', 'n3', 'n4', 'n5'];

const memberOf = (name: string, random: Prng): MemberSpec => ({ name, host: random.pick(HOSTS), role: 'replica', port: 5431 + NAMES.indexOf(name), volume: null, path: null });

/** A group of two to four members, the first the primary. */
export function drawSpec(random: Prng): GroupSpec {
  const members = Object.fromEntries(NAMES.slice(0, random.int(2, 4)).map((name) => [name, memberOf(name, random)]));
  members['n1'] = { ...members['n1']!, role: 'primary' };
  return {
    ...GROUP, name: 'main', storage: 'shared', volume: 'main', commit: 'async', settings: {}, failover: random.chance(0.85) ? 'automatic' : 'manual',
    recloneAbove: 0.5, checkpoint: 'fast', members,
  };
}

export class Users {
  #on = true;

  constructor(world: World, random: Prng) {
    const mean = random.pick([1_500, 6_000, 20_000]);
    const careless = random.chance(0.3);
    const act = (): void => {
      if (!this.#on) return;
      if (random.chance(0.3)) edit(world, random, careless);
      else ask(world, draw(world, random));
      world.clock.after(random.gap(mean), act);
    };
    world.clock.after(random.gap(mean), act);
  }

  stop(): void {
    this.#on = false;
  }
}

function ask(world: World, request: OperateRequest): void {
  const agent = world.agents.get(world.deciders[0]!);
  agent?.process.deliver(() => agent.process.run(agent.operate(request)));
}

function draw(world: World, random: Prng): OperateRequest {
  const group = world.group;
  const names = Object.keys(world.store.documents.spec.value.members);
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
function edit(world: World, random: Prng, careless: boolean): void {
  const { spec, record } = world.store.documents;
  const { members } = spec.value;
  const name = random.pick(NAMES);
  const kept = { ...members };
  if (members[name] === undefined) kept[name] = memberOf(name, random);
  else if (Object.keys(members).length > 1 && (careless || name !== (record?.value.primary ?? 'n1'))) delete kept[name];
  else return;
  // A manifest always names one primary.
  if (!Object.values(kept).some(({ role }) => role === 'primary')) {
    const heir = Object.keys(kept)[0]!;
    kept[heir] = { ...kept[heir]!, role: 'primary' };
  }
  world.trace(() => `manifest: ${Object.values(kept).map((one) => `${one.name}@${one.host}`).join(' ')}`);
  world.store.setSpec({ ...spec.value, members: kept });
}
