/** The machine that a bench ran on. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

export interface Machine {
  cpus: number;
  cpu: string;
  /** Bytes. */
  memory: number;
  kernel: string;
  distribution: string;
  node: string;
  /** The load of the last minute when the bench began: above 0, others were at work too. */
  load: number;
  /** ISO 8601. */
  time: string;
}

export function machineFacts(): Machine {
  return {
    cpus: availableParallelism(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    memory: totalmem(),
    kernel: release(),
    distribution: distribution(),
    node: process.versions.node,
    load: loadavg()[0] ?? 0,
    time: new Date().toISOString(),
  };
}

function distribution(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}
