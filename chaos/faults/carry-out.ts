/** Faults on the real cluster: each begins, and gives back how it ends. */
import { Prng } from '../../sim/kernel/prng.ts';
import type { StatusDocument } from '../../src/agent/api.ts';
import { Lifecycle, sleep } from '../../src/lifecycle.ts';
import type { Ended } from '../../test/support/program.ts';
import type { ChaosCluster } from '../cluster.ts';
import type { ChaosHost } from '../host.ts';
import { pathsBetween, type Cuts } from '../net/cuts.ts';
import { FAR, NEAR } from '../net/nodes.ts';
import type { Aim, Fault } from './plan.ts';

/** The member that comes and goes. */
export const GUEST = 'n9';
/** What a person would wait for a command while there are faults. */
const PATIENCE = ['--timeout', '30s'];

type End = () => Promise<void>;

export interface Theatre {
  cluster: ChaosCluster;
  cuts: Cuts;
  /** What was seen last: while faults last, nobody may answer. */
  status: () => StatusDocument;
  note: (text: string) => void;
}

/** Does it now. The end that is returned undoes it; it has to be called, once. */
export async function begin(theatre: Theatre, fault: Fault): Promise<End> {
  const { cluster, note } = theatre;
  if (fault.kind === 'switchover') return running(note, cluster.cli('switchover', ...PATIENCE), 'switchover');
  if (fault.kind === 'add-and-remove') return guest(theatre, fault);
  const host = cluster.host(aimedAt(theatre, fault));
  note(`${fault.kind} of ${host.name} (${fault.aim})${fault.lasts === 0 ? '' : ` for ${(fault.lasts / 1000).toFixed(1)} s`}`);
  switch (fault.kind) {
    case 'kill-postgres':
    case 'kill-family':
    case 'kill-logger':
      for (const pid of pidsOn(theatre, host.name)) host.killMember(pid, fault.kind === 'kill-family');
      return done;
    case 'kill-agent':
      await host.killAgent(fault.lasts);
      return done;
    case 'kill-host':
      await host.killAll(fault.lasts);
      return done;
    case 'freeze-host':
      await host.freeze();
      return () => host.thaw();
    case 'freeze-agent':
      await host.freezeAgent();
      return () => host.thaw();
    case 'freeze-member':
      host.freezeMembers(pidsOn(theatre, host.name));
      return () => host.thaw();
    case 'fill-disk':
      await host.fillDisk();
      return () => host.emptyDisk();
    case 'storm':
      return repeat(fault, async () => {
        for (const pid of pidsOn(theatre, aimedAt(theatre, fault))) host.killMember(pid, false);
      }, done);
    case 'flap': {
      const ends: End[] = [];
      return repeat(fault, async () => void ends.push(await cutOff(theatre, fault, host)), async () => void (await ends.pop()?.()));
    }
    case 'stutter':
      return repeat(fault, async () => void (await host.freeze()), () => host.thaw());
    case 'unplug':
      await theatre.cuts.unplug(host.name);
      return () => theatre.cuts.plug(host.name);
    default:
      return cutOff(theatre, fault, host);
  }
}

const done: End = async () => undefined;
const BREATH_MS: readonly [number, number] = [150, 2_000];

/** Does it and undoes it in turn, until the fault ends; it is undone then. */
function repeat(fault: Fault, act: () => Promise<void>, undo: End): End {
  const random = new Prng(Math.floor(fault.pick[1] * 2 ** 31), fault.kind);
  const problems: unknown[] = [];
  const life = new Lifecycle((error) => problems.push(error));
  life.run(fault.kind, async (signal) => {
    while (!signal.aborted) {
      await act();
      await sleep(random.int(...BREATH_MS), signal);
      await undo();
      await sleep(random.int(...BREATH_MS), signal);
    }
  });
  return async () => {
    await life.stop();
    if (problems.length > 0) throw problems[0];
  };
}

async function cutOff({ cluster, cuts, note }: Theatre, fault: Fault, host: ChaosHost): Promise<End> {
  const others = cluster.hosts.map((one) => one.name).filter((name) => name !== host.name);
  const peer = others[Math.floor(fault.pick[1] * others.length)] as string;
  const direction = fault.kind === 'isolate-out' || fault.kind === 'cut-pair-one-way' ? 'out' : fault.kind === 'isolate-in' ? 'in' : 'both';
  const paths = fault.kind.startsWith('cut-pair') ? pathsBetween([host.name], [peer], direction)
    : fault.kind === 'isolate-with-client' ? pathsBetween([host.name, NEAR], [...others, FAR], direction)
    : pathsBetween([host.name], [...others, NEAR, FAR], direction);
  if (fault.kind.startsWith('cut-pair')) note(`  from ${host.name} to ${peer}${direction === 'both' ? ' and back' : ''}`);
  await cuts.cut(paths);
  return () => cuts.mend(paths);
}

/** A member is added while the other faults go on, and taken away again. */
async function guest({ cluster, note }: Theatre, fault: Fault): Promise<End> {
  const hosts = cluster.hosts.map((one) => one.name);
  const host = hosts[Math.floor(fault.pick[0] * hosts.length)] as string;
  const role = cluster.topology.storage === 'local' && fault.pick[1] < 0.5 ? 'logger' : 'replica';
  const added = running(note, cluster.cli('add', role, '--name', GUEST, '--host', host, ...PATIENCE), `add ${role} ${GUEST} on ${host}`);
  return async () => {
    await added();
    await running(note, cluster.cli('remove', GUEST, ...PATIENCE), `remove ${GUEST}`)();
  };
}

/** Notes what a command says in the end, and waits for that. It may fail: there are faults. */
function running(note: (text: string) => void, command: Promise<Ended>, what: string): End {
  note(`${what}: begins`);
  const told = command.then(({ code, stderr, ms }) => note(`${what}: ended with ${code} after ${(ms / 1000).toFixed(1)} s${code === 0 ? '' : `: ${lastLine(stderr)}`}`));
  return () => told;
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

/** The host that the fault is aimed at; any where nobody is what it is aimed at. */
function aimedAt({ cluster, status }: Theatre, { aim, pick }: Fault): string {
  const { agents, groups } = status();
  const members = groups[0]?.members ?? [];
  const of: Record<Exclude<Aim, 'any'>, () => string[]> = {
    primary: () => members.filter((member) => member.name === groups[0]?.primary).map((member) => member.host),
    replica: () => members.filter((member) => member.role === 'replica').map((member) => member.host),
    logger: () => members.filter((member) => member.role === 'logger').map((member) => member.host),
    leader: () => agents.filter((agent) => agent.state === 'leader').map((agent) => agent.host),
  };
  const aimed = aim === 'any' ? [] : of[aim]();
  const from = aimed.length > 0 ? aimed : cluster.hosts.map((host) => host.name);
  return from[Math.floor(pick[0] * from.length)] as string;
}

const pidsOn = ({ status }: Theatre, host: string): number[] => (status().groups[0]?.members ?? []).filter((member) => member.host === host).flatMap(({ pid }) => pid ?? []);

/** Takes the guest away again where a fault kept `remove` from it. */
export async function removeGuest(cluster: ChaosCluster, note: (text: string) => void): Promise<void> {
  const group = await cluster.group().catch(() => null);
  if (group === null || !group.members.some((member) => member.name === GUEST)) return;
  if (group.primary === GUEST) await running(note, cluster.cli('switchover', '--to', 'n1', ...PATIENCE), 'switchover to n1')();
  await running(note, cluster.cli('remove', GUEST, ...PATIENCE), `remove ${GUEST}`)();
}
