/** Why a logger's process ended by itself: the last line of its log, for people and for the agent that started it. */
import type { ErrorReport } from '../../errors.ts';

const FATAL = ' fatal ';

export function fatalLine(time: string, report: ErrorReport): string {
  return `${time}${FATAL}${JSON.stringify(report)}\n`;
}

/** The newest such line in the end of a log; null where there is none. */
export function fatalIn(tail: string): ErrorReport | null {
  const line = tail.split('\n').findLast((one) => one.includes(`${FATAL}{`));
  if (line === undefined) return null;
  try {
    return JSON.parse(line.slice(line.indexOf(FATAL) + FATAL.length)) as ErrorReport;
  } catch {
    return null; // cut off at the beginning of the tail
  }
}
