/** The log of a companion. Its last line says why it ended by itself, for people and for the agent that started it. */
import { PgorbitError, toReport, type ErrorReport } from '../errors.ts';

const FATAL = ' fatal ';

export function log(level: string, text: string): void {
  process.stderr.write(`${new Date().toISOString()} ${level} ${text}\n`);
}

/** Ends this process. */
export function endWith(error: unknown): never {
  process.stderr.write(fatalLine(new Date().toISOString(), toReport(error)));
  process.exit(error instanceof PgorbitError ? error.exitCode : 1);
}

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
