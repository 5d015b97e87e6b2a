/** Who holds a lock, and whether that process can still be alive: what lock.ts decides by. */
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { isAlive, type ProcessId } from '../engine/proc.ts';
import { PgorbitError } from '../errors.ts';
import { isOneMachineOnly } from './filesystem.ts';

export interface LockOwner {
  /** The pgorbit host (agent) that started the process. */
  host: string;
  /** The machine's own name, for people. */
  machine: string;
  /** The PID namespace that `process.pid` counts in (`pid:[4026531836]`): a container has its own. */
  pidNamespace: string;
  process: ProcessId;
  term: number;
}

/** What is known where the question is asked. */
export interface Surroundings {
  bootId: string;
  pidNamespace: string;
  /** The lock lies on a file system that only one machine at a time can have mounted. */
  oneMachineOnly: boolean;
  isAlive: (process: ProcessId) => boolean;
}

/**
 * | lock's boot | PID namespace | process | file system | verdict |
 * | ours | ours | alive | any | held |
 * | ours | ours | dead | any | stale |
 * | ours | another | cannot be seen | any | held: another container of this machine |
 * | another | any | any | one machine only | stale: this machine booted since |
 * | another | any | any | shared by machines | held: cannot be seen from here |
 */
export function judgeLock(owner: LockOwner, here: Surroundings): 'held' | 'stale' {
  if (owner.process.bootId !== here.bootId) return here.oneMachineOnly ? 'stale' : 'held';
  if (owner.pidNamespace !== here.pidNamespace) return 'held';
  return here.isAlive(owner.process) ? 'held' : 'stale';
}

export function sameOwner(a: LockOwner, b: LockOwner): boolean {
  return a.process.pid === b.process.pid && a.process.startTime === b.process.startTime
    && a.process.bootId === b.process.bootId && a.pidNamespace === b.pidNamespace && a.host === b.host;
}

/** The owner in the text of a lock file. @throws `state-corrupt` where the text is not a lock's. */
export function ownerOf(dir: string, text: string): LockOwner | null {
  try {
    const { format, owner } = JSON.parse(text) as { format: unknown; owner: LockOwner | null };
    if (format === 1 && (owner === null || typeof owner.process?.pid === 'number')) return owner;
  } catch {
    // Falls through to the same error: not JSON, or not of this shape.
  }
  throw new PgorbitError('state-corrupt', `the lock file in ${dir} cannot be read`, {
    hint: 'make sure that no postgres runs on that folder, then remove lock.* in it',
  });
}

/** The owner that names `process` of this machine. */
export async function lockOwner(host: string, process: ProcessId, term: number): Promise<LockOwner> {
  return { host, machine: hostname(), pidNamespace: await readlink('/proc/self/ns/pid'), process, term };
}

/** Looks around for acquireLock; `dir` decides the kind of file system. */
export async function surroundings(dir: string): Promise<Surroundings> {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  return {
    bootId,
    pidNamespace: await readlink('/proc/self/ns/pid'),
    oneMachineOnly: await isOneMachineOnly(dir),
    isAlive,
  };
}
