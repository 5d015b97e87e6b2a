/** One host: a namespace, a small disk of its own, an agent that is started again whenever it ends, as systemd does. */
import { chmod, mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { runningAgent } from '../src/agent/pid-file.ts';
import { identify, runsProgram, sendSignal, withDescendants } from '../src/engine/proc.ts';
import { agentDir } from '../src/home.ts';
import { sleep } from '../src/lifecycle.ts';
import { BIN } from '../test/support/built.ts';
import { mustRun, runProgram, startProgram, type Ended, type Running } from '../test/support/program.ts';
import { inside, processesIn, type Node } from './net/network.ts';

const DISK = '768m';
const BALLAST = 'ballast';
/** Enough to come down from the whole disk to its last block, and some that fail. */
const FILL_STEPS = 40;

export class ChaosHost {
  readonly node: Node;
  /** PGORBIT_HOME, and where the disk is mounted. */
  readonly home: string;
  readonly #cluster: string;
  readonly #empty: string;
  /** The agent is not started before this time (ms, monotonic). */
  #restartAt = 0;
  #frozen = 0;
  #fills = 0;

  static async make(folder: string, node: Node, cluster: string): Promise<ChaosHost> {
    const host = new ChaosHost(folder, node, cluster);
    await mkdir(host.home, { mode: 0o755 });
    await mustRun('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=755`, 'pgorbit-chaos', host.home]);
    await chmod(host.home, 0o755);
    return host;
  }

  private constructor(folder: string, node: Node, cluster: string) {
    this.node = node;
    this.home = join(folder, node.name);
    this.#cluster = cluster;
    this.#empty = join(folder, 'empty');
  }

  get name(): string {
    return this.node.name;
  }

  get agentDir(): string {
    return agentDir(this.home, this.#cluster, this.name);
  }

  /** `pgorbit …` on this host. */
  start(...args: string[]): Running {
    const [file, ...rest] = inside(this.node, [process.execPath, BIN, ...args]);
    return startProgram(file, rest, {
      cwd: '/', timeoutMs: 300_000,
      env: { PATH: process.env['PATH'], LANG: 'C.UTF-8', TERM: 'dumb', CI: '1', HOME: this.#empty, PGORBIT_HOME: this.home, PGORBIT_DEBUG: '1' },
    });
  }

  cli(...args: string[]): Promise<Ended> {
    return this.start(...args).ended;
  }

  /** Everything that runs here, but for what makes the faults: ip(8) enters the namespace for a moment. */
  processes(): number[] {
    return processesIn(this.node.namespace).filter((pid) => !runsProgram(pid, 'ip'));
  }

  async agentPid(): Promise<number | null> {
    return (await runningAgent(this.agentDir))?.pid ?? null;
  }

  /** Starts the agent where it should run and does not. In words what came of it; null where there was nothing to do. */
  async supervise(): Promise<string | null> {
    if (this.#frozen > 0 || performance.now() < this.#restartAt || (await this.agentPid()) !== null) return null;
    const { code, ms, stderr } = await this.cli('agent', '--background', '--cluster', this.#cluster, '--host', this.name);
    return `starting the agent of ${this.name} ended with ${code} after ${(ms / 1000).toFixed(1)} s${code === 0 ? '' : `: ${stderr.trim().split('\n').at(-1)}`}`;
  }

  /** No wait for the next start of the agent any more. */
  release(): void {
    this.#restartAt = 0;
  }

  /** SIGKILL; it stays away for `ms`. */
  async killAgent(ms: number): Promise<boolean> {
    this.#restartAt = Math.max(this.#restartAt, performance.now() + ms);
    const pid = await this.agentPid();
    return pid !== null && sendSignal(pid, 'SIGKILL');
  }

  /** SIGKILL of all that runs here, as a loss of power does; the agent stays away for `ms`. */
  async killAll(ms: number): Promise<number> {
    this.#restartAt = Math.max(this.#restartAt, performance.now() + ms);
    return this.#signalAll('SIGKILL');
  }

  async freeze(): Promise<number> {
    this.#frozen += 1;
    return this.#signalAll('SIGSTOP');
  }

  async thaw(): Promise<void> {
    this.#frozen = Math.max(0, this.#frozen - 1);
    if (this.#frozen === 0) for (const pid of this.processes()) sendSignal(pid, 'SIGCONT');
  }

  /** The agent alone stands still. */
  async freezeAgent(): Promise<boolean> {
    this.#frozen += 1;
    const pid = await this.agentPid();
    return pid !== null && sendSignal(pid, 'SIGSTOP');
  }

  /** Members' processes alone stand still. */
  freezeMembers(pids: readonly number[]): void {
    this.#frozen += 1;
    for (const pid of withDescendants(pids)) if (identify(pid) !== null) sendSignal(pid, 'SIGSTOP');
  }

  /** A member's process, or with `family` all its processes. @returns how many were killed. */
  killMember(pid: number, family: boolean): number {
    const pids = family ? withDescendants([pid]) : [pid];
    return pids.filter((one) => identify(one) !== null && sendSignal(one, 'SIGKILL')).length;
  }

  /** Leaves no byte free on the host's disk. */
  async fillDisk(): Promise<void> {
    this.#fills += 1;
    for (let i = 0; i < FILL_STEPS; i += 1) {
      const { bavail, bsize } = await statfs(this.home);
      if (bavail === 0) return;
      // By halves: others write meanwhile, and what does not fit as a whole is given back as a whole.
      await runProgram('fallocate', ['-l', String(Math.ceil(bavail / 2) * bsize), join(this.home, `${BALLAST}.${this.#fills}.${i}`)]);
    }
  }

  async emptyDisk(): Promise<void> {
    this.#fills -= 1;
    if (this.#fills <= 0) await mustRun('sh', ['-c', `rm -f "$0"/${BALLAST}.*`, this.home]);
  }

  async #signalAll(signal: 'SIGKILL' | 'SIGSTOP'): Promise<number> {
    const done = new Set<number>();
    // What was forked between the look and the signal is met in the next round.
    for (;;) {
      const left = this.processes().filter((pid) => (signal === 'SIGKILL' || !done.has(pid)));
      if (left.length === 0) return done.size;
      for (const pid of left) {
        sendSignal(pid, signal);
        done.add(pid);
      }
      await sleep(signal === 'SIGKILL' ? 10 : 1);
    }
  }
}
