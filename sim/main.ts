/** npm run sim -- [--seeds N] [--seed S] [--minutes M]: simulates groups until the seeds or the minutes are used up. */
import { parseArgs } from 'node:util';
import { runSeed } from './run.ts';

const { values } = parseArgs({
  options: {
    /** How many seeds, from --seed on or else from 1. */
    seeds: { type: 'string' },
    /** The first seed; alone: only this one, with its whole story. */
    seed: { type: 'string' },
    /** Minutes of real time, instead of a number of seeds. */
    minutes: { type: 'string' },
  },
});

const numberOf = (text: string | undefined, otherwise: number): number => {
  const number = text === undefined ? otherwise : Number(text);
  if (!Number.isFinite(number) || number < 0) {
    process.stderr.write(`"${text}" is no number\n`);
    process.exit(2);
  }
  return number;
};

const STORY_LINES = 150;
const single = values.seed !== undefined && values.seeds === undefined && values.minutes === undefined;
const first = numberOf(values.seed, 1);
const count = values.minutes !== undefined && values.seeds === undefined ? Infinity : numberOf(values.seeds, single ? 1 : 500);
const end = values.minutes === undefined ? Infinity : performance.now() + numberOf(values.minutes, 1) * 60_000;

let passed = 0;
const failed: number[] = [];
for (let seed = first; seed < first + count && performance.now() < end; seed += 1) {
  if (single) tell(seed, Infinity);
  const { violation } = runSeed({ seed });
  if (violation === null) {
    passed += 1;
    continue;
  }
  failed.push(seed);
  if (!single && failed.length <= 3) tell(seed, STORY_LINES);
  process.stdout.write(`seed ${seed}: ${violation.rule}: ${violation.message} (again: npm run sim -- --seed ${seed})\n`);
}
process.stdout.write(`${passed} passed, ${failed.length} failed\n`);
process.exitCode = failed.length > 0 ? 1 : 0;

/** Runs the seed again, which does the same again, and prints the end of its story. */
function tell(seed: number, lines: number): void {
  const story: string[] = [];
  runSeed({ seed, trace: (line) => story.push(line) });
  process.stdout.write(`${story.slice(-lines).join('\n')}\n`);
}
