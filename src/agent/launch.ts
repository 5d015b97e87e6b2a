/** Starting an agent in the background, and ending it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isAlive, sendSignal } from '../engine/proc.ts';
import { PgorbitError } from '../errors.ts';
import { agentDir } from '../home.ts';
import { sleep } from '../lifecycle.ts';
import { readLog } from '../observe/tail.ts';
import type { Identity } from './identity/ca.ts';
import { readIdentity } from './identity/files.ts';
import { type AgentProcess, runningAgent } from './pid-file.ts';
import { RpcClient } from './rpc/client.ts';

export { type AgentProcess, runningAgent } from './pid-file.ts';

export interface LaunchOptions {
  home: string;
  cluster: string;
  host: string;
  /** Until it answers; default 20 s. */
  timeoutMs?: number;
  /** The program; default: `main` beside this file. */
  entry?: URL;
}

const POLL_MS = 50;
const KILL_MS = 10_000;
const LOG_TAIL_LINES = 15;

/**
 * An agent's heap is small and mostly idle: collect rather than grow. With these flags the RPC server alone has 57 MB
 * resident after thousands of calls (44 MB of that is node's own program, shared by all agents), without them 65 MB
 * and growing. The limit is a safety net, far above what is used. UV_THREADPOOL_SIZE stays at 4: fewer threads save
 * nothing, and calls that hang on a dead volume would leave none for the agent's own state.
 */
const NODE_FLAGS: readonly string[] = ['--max-semi-space-size=1', '--optimize-for-size', '--max-old-space-size=128'];

/** What an agent inherits: where things are and how to speak; no NODE_OPTIONS, no PGHOST, nothing of the caller's. */
const KEPT_ENV = /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_.*|TZ|TMPDIR|LD_LIBRARY_PATH|PGORBIT_.*)$/;

/**
 * Starts the agent of `host`, in a session of its own, and resolves with its process id once it answers; an agent
 * that already runs is left as it is. Its identity must be in its folder.
 * @throws PgorbitError `agent-failed` with the end of its log, `no-such-cluster` when it has no identity.
 */
export async function launchAgent(options: LaunchOptions): Promise<number> {
  const dir = agentDir(options.home, options.cluster, options.host);
  const identity = await readIdentity(dir);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const deadline = performance.now() + (options.timeoutMs ?? 20_000);
  let child: ChildProcess | null = null;
  while (performance.now() < deadline) {
    const agent = await runningAgent(dir);
    if (agent !== null && (await answersPing(agent, identity, options.host))) {
      child?.unref();
      return agent.pid;
    }
    // While there is an agent it is waited for, be it the child, another launch's, or one that is about to end.
    if (agent === null && child === null) child = await start(options, dir);
    else if (agent === null && child !== null && hasEnded(child)) throw await failed(options.host, dir, endOf(child));
    await sleep(POLL_MS);
  }
  if (child !== null && !hasEnded(child)) child.kill('SIGKILL');
  throw await failed(options.host, dir, 'did not answer in time');
}

/**
 * Ends the agent of `dir`: SIGTERM, and SIGKILL after `timeoutMs` (default 10 s), which its members survive as well.
 * False when none was running.
 * @throws PgorbitError `agent-failed` when the kernel does not let it go.
 */
export async function stopAgent(dir: string, options: { timeoutMs?: number } = {}): Promise<boolean> {
  const agent = await runningAgent(dir);
  if (agent === null) return false;
  sendSignal(agent.pid, 'SIGTERM');
  if (await ends(agent, options.timeoutMs ?? 10_000)) return true;
  sendSignal(agent.pid, 'SIGKILL');
  if (await ends(agent, KILL_MS)) return true;
  throw new PgorbitError('agent-failed', `The agent in ${dir} (process ${agent.pid}) does not end, not even by SIGKILL.`, {
    hint: `It waits inside the kernel, as a rule for a disk: look at /proc/${agent.pid}/stack.`,
  });
}

async function ends(agent: AgentProcess, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (isAlive(agent)) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

async function start(options: LaunchOptions, dir: string): Promise<ChildProcess> {
  const [program = '', ...args] = agentCommand(options);
  const log = await open(join(dir, 'agent.log'), 'a', 0o600);
  try {
    const child = spawn(
      program,
      args,
      { detached: true, stdio: ['ignore', log.fd, log.fd], cwd: '/', env: agentEnv(process.env) },
    );
    // A failed spawn shows as a child that has ended (pid undefined).
    child.on('error', () => undefined);
    return child;
  } finally {
    await log.close();
  }
}

/** The program of an agent and its arguments. */
export function agentCommand(options: Pick<LaunchOptions, 'home' | 'cluster' | 'host' | 'entry'>): string[] {
  const entry = options.entry ?? defaultEntry();
  return [process.execPath, ...NODE_FLAGS, ...loaderFlags(entry), fileURLToPath(entry), '--home', options.home, '--cluster', options.cluster, '--host', options.host];
}

/** The environment of an agent that is started from `env`. */
export function agentEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => KEPT_ENV.test(name)));
}

/** `main.js` in dist; `main.ts` where this runs from the sources. */
function defaultEntry(): URL {
  const built = new URL('./main.js', import.meta.url);
  return existsSync(built) ? built : new URL('./main.ts', import.meta.url);
}

function loaderFlags(entry: URL): string[] {
  if (!entry.pathname.endsWith('.ts')) return [];
  // By its full path: the agent's working directory is /, where no package is found.
  return ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href];
}

async function answersPing(agent: AgentProcess, identity: Identity, host: string): Promise<boolean> {
  if (agent.listens === null) return false;
  const client = new RpcClient({ ...agent.listens, host }, identity);
  try {
    return (await client.call('GET /v1/ping', {}, { timeoutMs: 2_000 })).pid === agent.pid;
  } catch (error) {
    if (error instanceof PgorbitError) return false;
    throw error;
  } finally {
    client.close();
  }
}

const hasEnded = (child: ChildProcess): boolean => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

function endOf(child: ChildProcess): string {
  if (child.pid === undefined) return 'could not be started';
  return child.signalCode === null ? `ended with status ${child.exitCode}` : `was ended by ${child.signalCode}`;
}

async function failed(host: string, dir: string, how: string): Promise<PgorbitError> {
  const file = join(dir, 'agent.log');
  const { text } = await readLog(file, -1, LOG_TAIL_LINES);
  const tail = text === '' ? 'Its log is empty.' : `The end of its log:\n${text.trimEnd()}`;
  return new PgorbitError('agent-failed', `The agent of host ${host} ${how}. ${tail}`, { hint: `Read ${file}.` });
}
