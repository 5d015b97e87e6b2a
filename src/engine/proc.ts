/**
 * Processes by identity. A process id alone is reused by the kernel; with its start time and the boot it belongs to
 * it names one process for ever. Node has no pidfd, so /proc is read (proc_pid_stat(5)): synchronous reads of a few
 * hundred bytes that never touch a disk.
 */
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';

export interface ProcessId {
  pid: number;
  /** Field 22 of /proc/pid/stat: clock ticks since boot. */
  startTime: string;
  bootId: string;
}

interface Stat {
  state: string;
  parent: number;
  startTime: string;
}

let boot: string | undefined;
function bootId(): string {
  boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  return boot;
}

/** The fields of /proc/pid/stat behind the program's name, which may itself hold spaces and parentheses. */
function statOf(pid: number): Stat | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return null;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, parent] = fields;
  const startTime = fields[19];
  if (state === undefined || parent === undefined || startTime === undefined) return null;
  return { state, parent: Number(parent), startTime };
}

// A zombie runs nothing and holds nothing: it only waits for a parent that may never ask.
const lives = (stat: Stat | null): stat is Stat => stat !== null && stat.state !== 'Z' && stat.state !== 'X';

/** True for a process that has ended and that nobody has waited for yet. */
export function isZombie(pid: number): boolean {
  return statOf(pid)?.state === 'Z';
}

/** The identity of a living process, or null. */
export function identify(pid: number): ProcessId | null {
  const stat = statOf(pid);
  return lives(stat) ? { pid, startTime: stat.startTime, bootId: bootId() } : null;
}

/** True while that very process lives; a zombie does not. */
export function isAlive(id: ProcessId): boolean {
  if (id.bootId !== bootId()) return false;
  const stat = statOf(id.pid);
  return lives(stat) && stat.startTime === id.startTime;
}

/** Every process id that /proc shows. */
export function allPids(): number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
}

/** The living direct children of a process. */
export function childrenOf(pid: number): number[] {
  return allPids().filter((candidate) => {
    const stat = statOf(candidate);
    return lives(stat) && stat.parent === pid;
  });
}

/** The parent of a living process, or null. */
export function parentOf(pid: number): number | null {
  const stat = statOf(pid);
  return lives(stat) ? stat.parent : null;
}

/** `roots` and all that descend from them, each once, parents before children. */
export function withDescendants(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const pid of allPids()) {
    const parent = parentOf(pid);
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const found = new Set(roots);
  for (const pid of found) for (const child of children.get(pid) ?? []) found.add(child);
  return [...found];
}

/**
 * Sends a signal; false when the process was gone already. Throws EPERM.
 */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** Device and inode of a folder: equal for all paths that lead to it, bind mounts included. Null when it is gone. */
export function folderKey(path: string): string | null {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}

/** True when the process runs a program of that name, even where its file was replaced or deleted since. */
export function runsProgram(pid: number, name: string): boolean {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, '') === name;
  } catch {
    return false;
  }
}
