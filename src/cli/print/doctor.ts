import type { Style } from './style.ts';

export interface Finding {
  what: string;
  state: 'ok' | 'warn' | 'fail';
  /** What was found. */
  found: string;
  /** The command or change that mends it; absent where nothing has to be mended. */
  mend?: string;
}

/** One line a check; what mends it below, where something has to be. */
export function renderFindings(findings: readonly Finding[], style: Style): string {
  const width = Math.max(...findings.map((finding) => finding.what.length));
  const lines = findings.map(({ what, state, found, mend }) => {
    const mark = { ok: style.green('ok  '), warn: style.yellow('warn'), fail: style.red('fail') }[state];
    return `${mark}  ${what.padEnd(width)}  ${found}\n${mend === undefined ? '' : `${' '.repeat(width + 8)}${style.bold('→')} ${mend}\n`}`;
  });
  const fails = findings.filter((finding) => finding.state === 'fail').length;
  const warns = findings.filter((finding) => finding.state === 'warn').length;
  const verdict = fails > 0 ? style.red(`${count(fails, 'thing')} must be mended before pgorbit can work here.`) : warns > 0 ? `pgorbit works here; ${count(warns, 'thing')} could be better.` : 'Everything pgorbit needs is here.';
  return `${lines.join('')}\n${verdict}\n`;
}

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;
