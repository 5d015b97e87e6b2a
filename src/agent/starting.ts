/**
 * Agents between their start and their claim (pid-file.ts): for a moment only their command line tells of them. Whoever
 * removes a cluster ends them first, or one that a killed `up` had just started would come up without its files.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentDir } from '../home.ts';
import { allPids, identify, isAlive, sendSignal } from '../engine/proc.ts';
import { sleep } from '../lifecycle.ts';
import { runningAgent } from './pid-file.ts';

const POLL_MS = 10;

/** The host whose agent the words of a command line start (launch.ts writes them), or null. Pure. */
export function agentHostIn(argv: readonly string[], home: string, cluster: string): string | null {
  const value = (name: string): string | undefined => (argv.includes(name) ? argv[argv.indexOf(name) + 1] : undefined);
  const isAgent = argv.some((word) => /\/agent\/main\.[jt]s$/.test(word));
  return isAgent && value('--home') === home && value('--cluster') === cluster ? (value('--host') ?? null) : null;
}

/** Ends what starts and has not claimed its folder yet. It has no members then; one that claims meanwhile is left. */
export async function endStarting(home: string, cluster: string): Promise<void> {
  for (const pid of allPids()) {
    const host = agentHostIn(argvOf(pid), home, cluster);
    const id = host === null ? null : identify(pid);
    if (host === null || id === null || (await runningAgent(agentDir(home, cluster, host)))?.pid === pid) continue;
    sendSignal(pid, 'SIGKILL');
    while (isAlive(id)) await sleep(POLL_MS);
  }
}

function argvOf(pid: number): string[] {
  try {
    return readFileSync(join('/proc', String(pid), 'cmdline'), 'utf8').split('\0').slice(0, -1);
  } catch {
    return []; // it ended, or is somebody else's
  }
}
