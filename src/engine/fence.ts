/**
 * Fencing: after it, nothing of that PostgreSQL instance lives and nothing more of it is acknowledged. Works by
 * cgroup, and without one by /proc: the postmaster is stopped first so that it forks no more, and orphans of a dead
 * postmaster are found by their working directory, which is the data directory for every PostgreSQL process.
 */
import { readFileSync } from 'node:fs';
import { PgorbitError } from '../errors.ts';
import { sleep } from '../lifecycle.ts';
import type { Cgroup } from './cgroup.ts';
import { readPidFile } from './pidfile.ts';
import { allPids, childrenOf, folderKey, identify, isAlive, runsProgram, sendSignal, withDescendants, type ProcessId } from './proc.ts';

export interface FenceResult {
  /** Processes that were killed. */
  killed: number;
  how: 'cgroup' | 'processes' | 'nothing-ran';
}

const KILL_WITHIN_MS = 15_000;

/**
 * Living `postgres` processes whose working directory is the data directory (by device and inode, so through any
 * mount), or that were told to use it and are about to enter it. A shell that a person left there is none.
 */
export function postgresProcessesIn(dataDir: string): ProcessId[] {
  const key = folderKey(dataDir);
  if (key === null) return [];
  return allPids()
    .filter((pid) => runsProgram(pid, 'postgres') && (folderKey(`/proc/${pid}/cwd`) === key || folderArgument(pid) === key))
    .map(identify)
    .filter((id) => id !== null);
}

/** The folder behind `-D` on a postmaster's command line; its backends overwrite theirs with a title. */
function folderArgument(pid: number): string | null {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const at = args.indexOf('-D');
    return at < 0 ? null : folderKey(args[at + 1] ?? '');
  } catch {
    return null;
  }
}

/**
 * Ends every process of the instance, by SIGKILL. Idempotent; also for an instance whose postmaster died already.
 * When it resolves, a scan has found none left. Throws `fence-failed` where a process does not die within 15 s.
 */
export async function fence(dataDir: string, cgroup: Cgroup | null): Promise<FenceResult> {
  let byCgroup = 0;
  if (cgroup !== null) {
    byCgroup = (await cgroup.pids()).length;
    await cgroup.kill();
  }
  // A server that was started outside the cgroup would go on, so look even where the cgroup is empty now.
  const byScan = await killByScan(dataDir);
  return { killed: byCgroup + byScan, how: byScan > 0 ? 'processes' : byCgroup > 0 ? 'cgroup' : 'nothing-ran' };
}

async function killByScan(dataDir: string): Promise<number> {
  const killed = new Set<string>();
  const end = performance.now() + KILL_WITHIN_MS;
  const stopped = (await readPidFile(dataDir))?.pid;
  for (;;) {
    const found = postgresProcessesIn(dataDir);
    if (found.length === 0) return killed.size;
    // The postmaster first: stopped, it starts no backend while the others die.
    const heads = found.filter((id) => id.pid === stopped || childrenOf(id.pid).length > 0);
    for (const id of heads) if (isAlive(id)) sendSignal(id.pid, 'SIGSTOP');
    const all = withDescendants(postgresProcessesIn(dataDir).map((id) => id.pid)).map(identify).filter((id) => id !== null);
    for (const id of all) {
      if (sendSignal(id.pid, 'SIGKILL')) killed.add(`${id.pid} ${id.startTime}`);
    }
    while (all.some(isAlive)) {
      if (performance.now() > end) {
        const left = all.filter(isAlive).map((id) => id.pid);
        throw new PgorbitError('fence-failed', `Processes ${left.join(', ')} of ${dataDir} survived SIGKILL for ${KILL_WITHIN_MS / 1000} s.`, {
          hint: 'They wait inside the kernel, mostly for a disk: look at `cat /proc/PID/stack`, mend the disk or restart the host.',
        });
      }
      await sleep(2);
    }
  }
}
