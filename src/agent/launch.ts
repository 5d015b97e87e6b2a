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
import { type Identity } from './identity/ca.ts';
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
const LOG_TAIL_LINES = 15;

/** An agent's heap is small and mostly idle: prefer collecting to growing. Measured figures are in launch.test.ts's neighbour docs. */
const NODE_FLAGS: readonly string[] = [];
const NODE_ENV: Readonly<Record<string, string>> = {};

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
  const child = (await runningAgent(dir)) === null ? await start(options, dir) : null;
  while (performance.now() < deadline) {
    const agent = await runningAgent(dir);
    if (agent !== null && (await answersPing(agent, identity, options.host))) {
      child?.unref();
      return agent.pid;
    }
    // A child that ended because another launch was quicker leaves that one's agent to wait for.
    if (agent === null && (child === null || hasEnded(child))) throw await failed(options.host, dir, endOf(child));
    await sleep(POLL_MS);
  }
  if (child !== null && !hasEnded(child)) child.kill('SIGKILL');
  throw await failed(options.host, dir, 'did not answer in time');
}

/**
 * Ends the agent of `dir`: SIGTERM, and SIGKILL after `timeoutMs` (default 10 s), which its members survive as well.
 * False when none was running.
 */
export async function stopAgent(dir: string, options: { timeoutMs?: number } = {}): Promise<boolean> {
  const agent = await runningAgent(dir);
  if (agent === null) return false;
  sendSignal(agent.pid, 'SIGTERM');
  const deadline = performance.now() + (options.timeoutMs ?? 10_000);
  while (isAlive(agent)) {
    if (performance.now() > deadline) sendSignal(agent.pid, 'SIGKILL');
    await sleep(POLL_MS);
  }
  return true;
}

async function start(options: LaunchOptions, dir: string): Promise<ChildProcess> {
  const entry = options.entry ?? defaultEntry();
  const log = await open(join(dir, 'agent.log'), 'a', 0o600);
  try {
    const child = spawn(
      process.execPath,
      [...NODE_FLAGS, ...loaderFlags(entry), fileURLToPath(entry), '--home', options.home, '--cluster', options.cluster, '--host', options.host],
      { detached: true, stdio: ['ignore', log.fd, log.fd], cwd: '/', env: agentEnv(process.env) },
    );
    // A failed spawn shows as a child that has ended (pid undefined).
    child.on('error', () => undefined);
    return child;
  } finally {
    await log.close();
  }
}

export function agentEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...Object.fromEntries(Object.entries(env).filter(([name]) => KEPT_ENV.test(name))), ...NODE_ENV };
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

function endOf(child: ChildProcess | null): string {
  if (child === null) return 'ended';
  if (child.pid === undefined) return 'could not be started';
  return child.signalCode === null ? `ended with status ${child.exitCode}` : `was ended by ${child.signalCode}`;
}

async function failed(host: string, dir: string, how: string): Promise<PgorbitError> {
  const file = join(dir, 'agent.log');
  const { text } = await readLog(file, -1, LOG_TAIL_LINES);
  const tail = text === '' ? 'Its log is empty.' : `The end of its log:\n${text.trimEnd()}`;
  return new PgorbitError('agent-failed', `The agent of host ${host} ${how}. ${tail}`, { hint: `Read ${file}.` });
}
