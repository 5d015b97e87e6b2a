/** The cluster of a session, made as a person makes one of several machines: `up` on the first, tokens for the others. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import type { CallName, Calls, GroupStatus, MemberStatus, StatusDocument } from '../src/agent/api.ts';
import { readIdentity } from '../src/agent/identity/files.ts';
import { RpcClient } from '../src/agent/rpc/client.ts';
import { placeOf } from '../src/group/member/place.ts';
import { adminDir } from '../src/home.ts';
import { sleep } from '../src/lifecycle.ts';
import { BIN } from '../test/support/built.ts';
import type { Ended } from '../test/support/program.ts';
import { runProgram } from '../test/support/program.ts';
import type { Place } from './clients/protocol.ts';
import { ChaosHost } from './host.ts';
import type { Network } from './net/network.ts';
import { manifestOf, type Topology } from './topologies.ts';

const CLUSTER = 'chaos';
const LOOK_MS = 100;
const CALL_MS = 2_000;

export interface ClusterOptions {
  folder: string;
  network: Network;
  topology: Topology;
  version: number;
  volume: { path: string; driver: string } | null;
  say: (text: string) => void;
}

export class ChaosCluster {
  readonly topology: Topology;
  readonly hosts: readonly ChaosHost[];
  readonly #home: string;
  readonly #empty: string;
  #agents: { host: string; address: string; port: number }[] = [];
  #clusterId = '';

  /** Brings it up; the caller's network reaches every host. Throws with what the CLI said. */
  static async up(options: ClusterOptions): Promise<ChaosCluster> {
    const { folder, network, topology, version, volume, say } = options;
    const hosts: ChaosHost[] = [];
    for (const name of ['empty', 'ops']) await mkdir(joinPath(folder, name), { recursive: true, mode: 0o755 });
    for (const name of topology.hosts) {
      const node = network.nodes[name];
      if (node === undefined) throw new Error(`the network has no ${name}`);
      hosts.push(await ChaosHost.make(folder, node, CLUSTER));
    }
    const addresses = Object.fromEntries(hosts.map((host) => [host.name, host.node.address]));
    const manifest = joinPath(folder, 'manifest.yaml');
    await writeFile(manifest, manifestOf({ topology, cluster: CLUSTER, version, addresses, volume }));
    await joinHosts(hosts, manifest, say);
    const cluster = new ChaosCluster(folder, topology, hosts);
    await cluster.#logIn();
    return cluster;
  }

  private constructor(folder: string, topology: Topology, hosts: readonly ChaosHost[]) {
    this.topology = topology;
    this.hosts = hosts;
    this.#home = joinPath(folder, 'ops');
    this.#empty = joinPath(folder, 'empty');
  }

  host(name: string): ChaosHost {
    const found = this.hosts.find((host) => host.name === name);
    if (found === undefined) throw new Error(`there is no host ${name}`);
    return found;
  }

  /** `pgorbit …` of a machine that only manages the cluster, and that no fault touches. */
  cli(...args: string[]): Promise<Ended> {
    return runProgram(process.execPath, [BIN, ...args], {
      cwd: '/', timeoutMs: 120_000,
      env: { PATH: process.env['PATH'], LANG: 'C.UTF-8', TERM: 'dumb', CI: '1', HOME: this.#empty, PGORBIT_HOME: this.#home, PGORBIT_DEBUG: '1' },
    });
  }

  /** One call of the agents' interface, of any that answers, or of `host`'s. */
  async call<N extends CallName>(name: N, request: Calls[N]['request'], host?: string): Promise<Calls[N]['answer']> {
    const identity = await readIdentity(adminDir(this.#home, CLUSTER));
    let last: unknown = new Error('the cluster has no agent');
    for (const agent of this.#agents.filter((one) => host === undefined || one.host === host)) {
      const client = new RpcClient(agent, identity);
      try {
        return await client.call(name, request, { timeoutMs: CALL_MS });
      } catch (error) {
        last = error;
      } finally {
        client.close();
      }
    }
    throw last;
  }

  status(): Promise<StatusDocument> {
    return this.call('GET /v1/status', {});
  }

  /** Everything as the manifest says, every voter counted. Throws after `withinMs` with what is not. */
  async waitHealthy(withinMs: number): Promise<StatusDocument> {
    const end = performance.now() + withinMs;
    for (;;) {
      const status = await this.status().catch((error: Error) => error);
      const why = status instanceof Error ? status.message : this.#whyNotHealthy(status);
      if (why === null && !(status instanceof Error)) return status;
      if (performance.now() > end) throw new Error(`not healthy ${withinMs / 1000} s after the faults: ${why}`);
      await sleep(LOOK_MS);
    }
  }

  #whyNotHealthy(status: StatusDocument): string | null {
    const group = status.groups[0];
    if (group === undefined) return 'there is no group';
    const lost = status.agents.filter((agent) => agent.state === 'unreachable').map((agent) => `the agent of ${agent.host} is unreachable`);
    const absent = Object.keys(this.topology.members).filter((name) => !group.members.some((member) => member.name === name)).map((name) => `${name} is not there`);
    const mute = this.topology.storage === 'shared' ? [] : group.members.filter((member) => !member.voter).map((member) => `${member.name} does not vote`);
    const extra = group.members.filter((member) => this.topology.members[member.name] === undefined).map((member) => `${member.name} is still there`);
    const sick = group.state === 'healthy' ? [] : [`the group is ${group.state}: ${group.reason} (${group.members.map(describeMember).join('; ')})`];
    const reasons = [...lost, ...absent, ...mute, ...extra, ...sick];
    return reasons.length === 0 ? null : reasons.join('; ');
  }

  /** Members that hold data: how they are reached by address, and on their own host's socket. */
  async places(): Promise<{ remote: Place[]; local: Place[] }> {
    const { secrets } = await this.call('GET /v1/secrets', {});
    const group = await this.group();
    if (secrets === null) throw new Error('the cluster has no accounts yet');
    const remote = group.members.filter((member) => member.role !== 'logger').map(({ name, address, port }) => ({ member: name, ...secrets.superuser, host: address, port, database: 'postgres' }));
    const local = remote.map((place) => {
      const host = this.host(group.members.find((one) => one.name === place.member)?.host ?? '');
      const { socketDir } = placeOf({ home: host.home, volume: null, cluster: CLUSTER, clusterId: this.#clusterId, group: group.name, member: place.member, host: host.name });
      return { ...place, host: socketDir };
    });
    return { remote, local };
  }

  async group(): Promise<GroupStatus> {
    const group = (await this.status()).groups[0];
    if (group === undefined) throw new Error('the cluster has no group');
    return group;
  }

  async #logIn(): Promise<void> {
    const invited = await this.host('h1').cli('host', 'admin-token', '--json');
    if (invited.code !== 0) throw new Error(`pgorbit host admin-token ended with ${invited.code}: ${invited.stderr}`);
    const { token } = JSON.parse(invited.stdout) as { token: string };
    const login = await this.cli('login', token);
    if (login.code !== 0) throw new Error(`pgorbit login ended with ${login.code}: ${login.stderr}`);
    const status = await this.cli('status', '--json');
    if (status.code !== 0) throw new Error(`pgorbit status ended with ${status.code}: ${status.stderr}`);
    this.#agents = (JSON.parse(status.stdout) as StatusDocument).agents.map(({ host, address, port }) => ({ host, address, port }));
    this.#clusterId = (await this.call('GET /v1/ping', {})).clusterId;
  }
}

const describeMember = (member: MemberStatus): string => [member.name, member.role, member.state, member.step, member.error?.message].filter((word) => word != null).join(' ');

/** `up` on the first host tells how the others join, and waits for them. */
async function joinHosts(hosts: readonly ChaosHost[], manifest: string, say: (text: string) => void): Promise<void> {
  const [first, ...others] = hosts;
  if (first === undefined) throw new Error('a cluster has a host');
  const up = first.start('up', manifest, '--json', '--timeout', '120s');
  let heard = '';
  const joining = new Map<string, Promise<void>>();
  const join = async (host: ChaosHost, token: string): Promise<void> => {
    const { code, stderr } = await host.cli('agent', '--join', token);
    if (code === 0) return;
    await up.stop();
    throw new Error(`pgorbit agent --join on ${host.name} ended with ${code}: ${stderr}`);
  };
  up.child.stderr?.on('data', (text: string) => {
    heard += text;
    for (const [, name = '', token = ''] of heard.matchAll(/on the machine of host (\S+), .*?pgorbit agent --join (\S+)\n/g)) {
      const host = others.find((one) => one.name === name);
      if (host !== undefined && !joining.has(name)) joining.set(name, join(host, token));
    }
  });
  const outcome = await up.ended;
  await Promise.all(joining.values());
  if (outcome.code !== 0) throw new Error(`pgorbit up ended with ${outcome.code}: ${outcome.stderr}`);
  say(`up in ${(outcome.ms / 1000).toFixed(1)} s`);
}
