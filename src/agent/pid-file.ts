/**
 * `agent.pid` in an agent's folder: who the agent is and where it listens, and the lock that keeps a second one out.
 * Node has no flock(), so the lock is the file itself, and its owner is known to live by process id, start time and
 * boot together.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identify, isAlive, type ProcessId } from '../engine/proc.ts';
import { errnoOf, PgorbitError } from '../errors.ts';
import { writeDurably } from '../durable.ts';

export interface AgentProcess extends ProcessId {
  /** Where it listens; null until it does. */
  listens: { address: string; port: number } | null;
}

export interface AgentClaim {
  /** Tells where the agent listens, for the CLI of this machine. */
  publish(listens: { address: string; port: number }): Promise<void>;
  /** Gives the folder up. */
  release(): Promise<void>;
}

const fileIn = (dir: string): string => join(dir, 'agent.pid');

/** The agent that runs in `dir`, or null. */
export async function runningAgent(dir: string): Promise<AgentProcess | null> {
  const found = await read(fileIn(dir));
  return found !== null && isAlive(found) ? found : null;
}

/**
 * Makes this process the agent of `dir`.
 * @throws PgorbitError `locked` while another agent lives there.
 */
export async function claimAgentDir(dir: string): Promise<AgentClaim> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const self = identify(process.pid);
  if (self === null) throw new PgorbitError('internal', 'This process does not find itself in /proc.', { hint: 'Mount /proc.' });
  const file = fileIn(dir);
  const mine: AgentProcess = { ...self, listens: null };
  while (!(await create(file, mine))) await clearStale(file);
  return {
    publish: (listens) => writeDurably(file, text({ ...mine, listens })),
    async release() {
      const found = await read(file);
      if (found !== null && sameProcess(found, mine)) await rm(file, { force: true });
    },
  };
}

/** Makes the file, whole from the first moment; false when there is one. */
async function create(file: string, content: AgentProcess): Promise<boolean> {
  const aside = besides(file);
  await writeFile(aside, text(content), { mode: 0o600, flag: 'wx' });
  try {
    await link(aside, file);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

/** Takes away the file of an agent that is no more. */
async function clearStale(file: string): Promise<void> {
  const found = await read(file);
  if (found !== null && isAlive(found)) throw locked(file, found);
  const aside = besides(file);
  try {
    await rename(file, aside);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  // Between the look and the rename another agent may have cleared the same file and made its own: give it back.
  const moved = await read(aside);
  if (moved !== null && isAlive(moved)) await rename(aside, file);
  else await rm(aside, { force: true });
}

async function read(file: string): Promise<AgentProcess | null> {
  try {
    const value = JSON.parse(await readFile(file, 'utf8')) as Partial<AgentProcess> | null;
    if (typeof value?.pid !== 'number' || typeof value.startTime !== 'string' || typeof value.bootId !== 'string') return null;
    return { pid: value.pid, startTime: value.startTime, bootId: value.bootId, listens: value.listens ?? null };
  } catch (error) {
    // Text that is no JSON was written by nobody who lives: create() puts whole files in place.
    if (error instanceof SyntaxError || errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
}

const text = (content: AgentProcess): string => `${JSON.stringify(content)}\n`;
const besides = (file: string): string => `${file}.${randomBytes(6).toString('hex')}`;
const sameProcess = (a: ProcessId, b: ProcessId): boolean => a.pid === b.pid && a.startTime === b.startTime && a.bootId === b.bootId;

function locked(file: string, owner: ProcessId): PgorbitError {
  return new PgorbitError('locked', `Process ${owner.pid} already is the agent of ${file.slice(0, -'/agent.pid'.length)}.`, {
    hint: 'Nothing has to be done; to replace it, stop it first.',
  });
}
