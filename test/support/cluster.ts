/**
 * A cluster of a test's own, driven by the CLI as a person drives it: a PGORBIT_HOME and an empty HOME in a folder of
 * the system's temporary one. `destroy` ends and removes whatever the cluster left, however it was left.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CallName, Calls, GroupStatus, MemberStatus, StatusDocument } from '../../src/agent/api.ts';
import { readIdentity } from '../../src/agent/identity/files.ts';
import { runningAgent } from '../../src/agent/pid-file.ts';
import { RpcClient } from '../../src/agent/rpc/client.ts';
import { identify, isAlive, sendSignal, type ProcessId } from '../../src/engine/proc.ts';
import { adminDir, agentDir } from '../../src/home.ts';
import { sleep } from '../../src/lifecycle.ts';
import type { OrbitEvent } from '../../src/observe/event.ts';
import { BIN, ensureBuilt } from './built.ts';
import { cleanUpWith } from './cleanup.ts';
import { clearLeftovers, findLeftovers, type Leftovers } from './leftovers.ts';
import { runProgram, startProgram, type Ended, type ProgramOptions, type Running } from './program.ts';
import { makeFolder, sweepStale } from './stale.ts';

export interface CliResult extends Ended {
  /** Standard output parsed, where it is JSON; else undefined. */
  json: unknown;
}

const UP_MS = 300_000;
/** Every other command: less than a test may take, so that what it waited for is told. */
const COMMAND_MS = 120_000;
/** How long `up` waits for a healthy cluster, in seconds: less than a test's hook, so that it says what it waited for. */
const HEALTHY_S = 150;

export class TestCluster {
  /** Holds everything below: home, the empty HOME, and `volume` for whoever wants one there. */
  readonly folder: string;
  readonly home: string;
  /** A folder for a volume on the temporary folder's file system. */
  readonly volume: string;
  /** Where 40 ports begin that nobody else is likely to choose: below the kernel's own, above what pgorbit chooses. */
  readonly firstPort = 10_000 + 40 * Math.floor(Math.random() * 500);
  readonly #environment: NodeJS.ProcessEnv;
  readonly #volumes: readonly string[];
  readonly #undo: () => Promise<void>;
  readonly #runAs: readonly string[];
  #name = 'test';

  /** @param options.runAs comes before the CLI's command line: setpriv and the like. @param options.volumes are volumes elsewhere that the cluster will use: their postmasters are ended too. */
  static async open(options: { volumes?: readonly string[]; env?: NodeJS.ProcessEnv; runAs?: readonly string[] } = {}): Promise<TestCluster> {
    await ensureBuilt();
    await sweepStale();
    const folder = await makeFolder();
    for (const name of ['home', 'empty', 'work']) await mkdir(join(folder, name), { mode: 0o755 });
    return new TestCluster(folder, options.volumes ?? [], options.env ?? {}, options.runAs ?? []);
  }

  private constructor(folder: string, volumes: readonly string[], env: NodeJS.ProcessEnv, runAs: readonly string[]) {
    this.#runAs = runAs;
    this.folder = folder;
    this.home = join(folder, 'home');
    this.volume = join(folder, 'volume');
    this.#volumes = volumes;
    this.#environment = {
      PATH: process.env['PATH'], LANG: 'C.UTF-8', TERM: 'dumb', CI: '1', HOME: join(folder, 'empty'), PGORBIT_HOME: this.home, PGORBIT_DEBUG: '1', ...env,
    };
    this.#undo = cleanUpWith(async () => {
      await clearLeftovers(folder, volumes);
      await rm(folder, { recursive: true, force: true });
    });
  }

  /** The cluster's name, as the manifest says. */
  get name(): string {
    return this.#name;
  }

  /** Runs `pgorbit …`; never throws. */
  async cli(...args: string[]): Promise<CliResult> {
    return withJson(await this.start(args).ended);
  }

  /** `pgorbit … --json` and its document. Throws with what it said on a failure. */
  async must<T = unknown>(...args: string[]): Promise<T> {
    const result = await this.cli(...args, '--json');
    if (result.code !== 0 || result.json === undefined) {
      const story = result.signal === 'SIGKILL' ? `\nIt did not end in time.\n${await this.story()}` : '';
      throw new Error(`pgorbit ${args.join(' ')} ended with ${result.code}:\n${result.stderr.trim()}\n${result.json === undefined ? result.stdout : ''}${story}`);
    }
    return result.json as T;
  }

  /** `pgorbit …` in the background, for tests that interrupt it. */
  start(args: readonly string[], options: ProgramOptions = {}): Running {
    const [file, ...before] = [...this.#runAs, process.execPath];
    return startProgram(file as string, [...before, BIN, ...args], { env: this.#environment, cwd: join(this.folder, 'work'), timeoutMs: args[0] === 'up' ? UP_MS : COMMAND_MS, ...options });
  }

  /** Writes the manifest and brings the cluster up; without one the demo. Throws with what the CLI and the logs said. */
  async up(manifest?: string): Promise<StatusDocument> {
    const file = join(this.folder, 'work', 'manifest.yaml');
    this.#name = manifest === undefined ? 'demo' : (/^cluster: *(\S+)/m.exec(manifest)?.[1] ?? this.#name);
    if (manifest !== undefined) await writeFile(file, manifest);
    try {
      return (await this.must<{ status: StatusDocument }>('up', ...(manifest === undefined ? [] : [file]), '--timeout', `${HEALTHY_S}s`)).status;
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${await this.logs(40)}`, { cause: error });
    }
  }

  status(): Promise<StatusDocument> {
    return this.must<StatusDocument>('status');
  }

  /** The only group. */
  async group(): Promise<GroupStatus> {
    const group = (await this.call('GET /v1/status', {})).groups[0];
    if (group === undefined) throw new Error('the cluster has no group');
    return group;
  }

  async member(name: string): Promise<MemberStatus> {
    const member = (await this.group()).members.find((one) => one.name === name);
    if (member === undefined) throw new Error(`there is no member ${name}`);
    return member;
  }

  /** Who accepts writes, by status. Throws where nobody does. */
  async primary(): Promise<MemberStatus> {
    const group = await this.group();
    if (group.primary === null) throw new Error(`group ${group.name} has no primary: ${group.reason}`);
    return this.member(group.primary);
  }

  /** The URI that `pgorbit uri …` prints. */
  async uri(...args: string[]): Promise<string> {
    return (await this.must<{ uri: string }>('uri', ...args)).uri;
  }

  /** Postmasters by member; members that do not run are left out. */
  async pids(): Promise<Record<string, number>> {
    return Object.fromEntries((await this.group()).members.flatMap(({ name, pid }) => (pid === null ? [] : [[name, pid]])));
  }

  /** Sends a signal to a member's postmaster and, where it ends a process, waits until it is gone. @returns its pid. */
  async kill(member: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<number> {
    const { pid } = await this.member(member);
    const id = pid === null ? null : identify(pid);
    if (id === null) throw new Error(`${member} does not run`);
    sendSignal(id.pid, signal);
    if (signal === 'SIGKILL') await gone(id);
    return id.pid;
  }

  /** Kills the agent of a host; its members go on. */
  async killAgent(host: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const agent = await runningAgent(agentDir(this.home, this.#name, host));
    if (agent === null) throw new Error(`the agent of ${host} does not run`);
    sendSignal(agent.pid, signal);
    if (signal === 'SIGKILL') await gone(agent);
  }

  /** Returns when every group is healthy with `members` members, where a number is given. Throws after `timeoutMs`. */
  async waitHealthy(options: { members?: number; timeoutMs?: number } = {}): Promise<StatusDocument> {
    const end = performance.now() + (options.timeoutMs ?? 60_000);
    for (;;) {
      const status = await this.call('GET /v1/status', {}).catch((error: Error) => error);
      if (!(status instanceof Error)) {
        const sound = status.groups.every((group) => group.state === 'healthy' && (options.members === undefined || group.members.length === options.members));
        if (sound && status.groups.length > 0) return status;
      }
      if (performance.now() > end) {
        const why = status instanceof Error ? status.message : status.groups.map((group) => `${group.name} is ${group.state}: ${group.reason}; ${group.members.map((one) => `${one.name} ${one.role} ${one.state} ${one.step ?? ''} ${one.error?.message ?? ''}`).join('; ')}`).join('; ');
        throw new Error(`not healthy in time: ${why}\n${await this.story()}`);
      }
      await sleep(50);
    }
  }

  /** What happened so far, of all agents, in the order of time. */
  events(): Promise<OrbitEvent[]> {
    return this.must<OrbitEvent[]>('events');
  }

  /** The members as they are, and what happened last, for a failure's message. */
  async story(): Promise<string> {
    const group = await this.group().catch(String);
    const { stdout, stderr } = await this.cli('events');
    return `${JSON.stringify(group)}\n${stdout.split('\n').slice(-40).join('\n')}${stderr}`;
  }

  /** One call of the agents' own interface, with the CLI's certificate: of any agent that answers, or of `host`'s. */
  async call<N extends CallName>(name: N, request: Calls[N]['request'], host?: string): Promise<Calls[N]['answer']> {
    const admin = adminDir(this.home, this.#name);
    const identity = await readIdentity(admin);
    const { agents } = JSON.parse(await readFile(join(admin, 'cluster.json'), 'utf8')) as { agents: { host: string; address: string; port: number }[] };
    let last: unknown = new Error('the cluster has no agent');
    for (const agent of agents.filter((one) => host === undefined || one.host === host)) {
      const client = new RpcClient(agent, identity);
      try {
        return await client.call(name, request, { timeoutMs: 30_000 });
      } catch (error) {
        last = error;
      } finally {
        client.close();
      }
    }
    throw last;
  }

  /** What the cluster has outside its files now. */
  leftovers(): Promise<Leftovers> {
    return findLeftovers(this.folder, this.#volumes);
  }

  /** The end of each agent's and member's log, for a failure's message. */
  async logs(lines = 20): Promise<string> {
    const { stdout } = await runProgram('sh', ['-c', 'find . -name agent.log -o -name postgresql.log | while read -r f; do echo "== $f"; tail -n "$0" "$f"; done', String(lines)], { cwd: this.home });
    return stdout;
  }

  /** Ends and deletes everything; may be called twice. */
  destroy(): Promise<void> {
    return this.#undo();
  }
}

async function gone(id: ProcessId): Promise<void> {
  while (isAlive(id)) await sleep(1);
}

function withJson(ended: Ended): CliResult {
  let json: unknown;
  try {
    json = JSON.parse(ended.stdout);
  } catch {
    json = undefined;
  }
  return { ...ended, json };
}
