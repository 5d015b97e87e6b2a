/**
 * A network of the run's own: a namespace for every host and client, joined by veth pairs to a bridge in one more
 * (network_namespaces(7), ip-netns(8)). Nothing of the machine's own network is touched: the addresses exist inside.
 * Programs are entered with nsenter(1), which changes the network alone; `ip netns exec` would hide /sys/fs/cgroup.
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { allPids, identify, isAlive, sendSignal } from '../../src/engine/proc.ts';
import { sleep } from '../../src/lifecycle.ts';
import { mustRun, runProgram } from '../../test/support/program.ts';

const FOLDER = '/run/netns';
const PREFIX = 'pgo-chaos-';
const SUBNET = '10.83.0';
const LINK = 'eth0';
const END_MS = 10_000;

export interface Node {
  name: string;
  namespace: string;
  address: string;
}

/** Plain data: it crosses processes. */
export interface Network {
  /** Names everything; holds the maker's process id. */
  prefix: string;
  nodes: Record<string, Node>;
}

/** Why there can be no such network here, or null. */
export async function whyNoNetwork(): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  for (const [program, owner] of [['ip', 'iproute2'], ['nsenter', 'util-linux']] as const) {
    if ((await runProgram('sh', ['-c', `command -v ${program}`])).code !== 0) return `${program} is not installed (package ${owner})`;
  }
  const probe = `${PREFIX}${process.pid}-probe`;
  const made = await runProgram('ip', ['netns', 'add', probe]);
  await runProgram('ip', ['netns', 'del', probe]);
  return made.code === 0 ? null : `the kernel makes no network namespace: ${made.stderr.trim()}`;
}

const ip = (...args: string[]): Promise<unknown> => mustRun('ip', args);

/** Makes the namespaces and joins them. Throws with what `ip` said; what was made goes with destroyNetwork(). */
export async function createNetwork(names: readonly string[]): Promise<Network> {
  const prefix = `${PREFIX}${process.pid}-`;
  const hub = `${prefix}sw`;
  await ip('netns', 'add', hub);
  await ip('-n', hub, 'link', 'add', 'br0', 'type', 'bridge');
  await ip('-n', hub, 'link', 'set', 'br0', 'up');
  const nodes: Record<string, Node> = {};
  for (const [i, name] of names.entries()) {
    const node: Node = { name, namespace: `${prefix}${name}`, address: `${SUBNET}.${i + 1}` };
    await ip('netns', 'add', node.namespace);
    await ip('-n', hub, 'link', 'add', `v-${name}`, 'type', 'veth', 'peer', 'name', LINK, 'netns', node.namespace);
    await ip('-n', hub, 'link', 'set', `v-${name}`, 'master', 'br0', 'up');
    await ip('-n', node.namespace, 'link', 'set', 'lo', 'up');
    await ip('-n', node.namespace, 'addr', 'add', `${node.address}/24`, 'dev', LINK);
    await ip('-n', node.namespace, 'link', 'set', LINK, 'up');
    nodes[name] = node;
  }
  return { prefix, nodes };
}

/** The command line that runs `command` inside. */
export const inside = (node: Node, command: readonly string[]): [string, ...string[]] => ['nsenter', `--net=${FOLDER}/${node.namespace}`, '--', ...command];

/** Every living process of a namespace. */
export function processesIn(namespace: string): number[] {
  let wanted: string;
  try {
    wanted = `net:[${statSync(`${FOLDER}/${namespace}`).ino}]`;
  } catch {
    return []; // There is no such namespace.
  }
  return allPids().filter((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/ns/net`) === wanted && identify(pid) !== null;
    } catch {
      return false; // It has just ended.
    }
  });
}

/** Ends what runs in the namespaces of `prefix`, then removes them. */
export async function destroyNetwork(prefix: string): Promise<void> {
  const namespaces = namespacesOf(prefix);
  const end = performance.now() + END_MS;
  for (const namespace of namespaces) {
    for (let left = processesIn(namespace); left.length > 0; left = processesIn(namespace)) {
      if (performance.now() > end) throw new Error(`processes in ${namespace} survive SIGKILL: ${left.join(', ')}`);
      for (const pid of left) sendSignal(pid, 'SIGKILL');
      await sleep(20);
    }
  }
  for (const namespace of namespaces) await runProgram('ip', ['netns', 'del', namespace]);
}

/** Removes the networks of makers that were killed. */
export async function sweepNetworks(): Promise<void> {
  const makers = new Set(namespacesOf(PREFIX).flatMap((name) => /^pgo-chaos-(\d+)-/.exec(name)?.[1] ?? []));
  for (const maker of makers) if (!makes(Number(maker))) await destroyNetwork(`${PREFIX}${maker}-`);
}

/** True while that process is one that makes such networks. */
function makes(pid: number): boolean {
  const id = identify(pid);
  try {
    return id !== null && isAlive(id) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('chaos');
  } catch {
    return false;
  }
}

function namespacesOf(prefix: string): string[] {
  try {
    return readdirSync(FOLDER).filter((name) => name.startsWith(prefix));
  } catch {
    return []; // No namespace was ever made on this machine.
  }
}

/** Lets packets from one node reach another, or lose them without a word, whatever flows the other way. */
export async function setPath(network: Network, from: string, to: string, open: boolean): Promise<void> {
  const [source, target] = [network.nodes[from], network.nodes[to]];
  if (source === undefined || target === undefined) throw new Error(`no node ${from} or ${to}`);
  // To an Ethernet address that nobody has: no filter has to be in the kernel, and the other direction is left alone.
  if (open) await runProgram('ip', ['-n', source.namespace, 'neigh', 'del', target.address, 'dev', LINK]);
  else await ip('-n', source.namespace, 'neigh', 'replace', target.address, 'lladdr', '02:00:00:00:de:ad', 'dev', LINK, 'nud', 'permanent');
}

/** The cable: with it out, the node's own kernel says so to whoever sends. */
export async function setPlugged(network: Network, name: string, plugged: boolean): Promise<void> {
  const node = network.nodes[name];
  if (node === undefined) throw new Error(`no node ${name}`);
  await ip('-n', node.namespace, 'link', 'set', LINK, plugged ? 'up' : 'down');
}
