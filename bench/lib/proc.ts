/** What a process takes of the machine: proc_pid_status(5), proc_pid_stat(5). */
import { readFileSync } from 'node:fs';

/** Resident bytes. */
export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
}

/** Linux's USER_HZ, the same on every architecture that Node runs on. */
const TICKS_A_SECOND = 100;

/** Seconds of processor time so far, user and system. */
export function cpuSeconds(pid: number): number {
  return ticksOf(readFileSync(`/proc/${pid}/stat`, 'latin1')) / TICKS_A_SECOND;
}

/** utime and stime, fields 14 and 15, of the text of /proc/pid/stat; the program's name may hold blanks and parentheses. Pure. */
export function ticksOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
