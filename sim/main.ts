/** npm run sim -- [--seeds N] [--seed S] [--minutes M] [--topology T]: simulates groups until the seeds or the minutes are used up. */
import { parseArgs } from 'node:util';
import { runPool } from './pool.ts';
import { runSeed, type Outcome } from './run.ts';
import { TOPOLOGIES, type TopologyName } from './world/topology.ts';

const { values } = parseArgs({
  options: {
    /** How many seeds, from --seed on or else from 1. */
    seeds: { type: 'string' },
    /** The first seed; alone: only this one, with its whole story. */
    seed: { type: 'string' },
    /** Minutes of real time, instead of a number of seeds. */
    minutes: { type: 'string' },
    /** Only groups of one kind, not what each seed draws. */
    topology: { type: 'string' },
  },
});

const refuse = (message: string): never => {
  process.stderr.write(`${message}\n`);
  process.exit(2);
};

const numberOf = (text: string | undefined, otherwise: number): number => {
  const number = text === undefined ? otherwise : Number(text);
  return Number.isFinite(number) && number >= 0 ? number : refuse(`"${text}" is no number`);
};

const topologyOf = (text: string | undefined): TopologyName | null =>
  text === undefined ? null : (TOPOLOGIES.find((name) => name === text) ?? refuse(`no topology "${text}": ${TOPOLOGIES.join(', ')}`));

const STORY_LINES = 150;
/** Failed seeds whose story's end is told at once. */
const STORIES = 2;
const single = values.seed !== undefined && values.seeds === undefined && values.minutes === undefined;
const first = numberOf(values.seed, 1);
const topology = topologyOf(values.topology);

let passed = 0;
const failed: Outcome[] = [];
const note = (outcome: Outcome): void => {
  const { seed, violation } = outcome;
  if (violation === null) passed += 1;
  else {
    failed.push(outcome);
    if (!single && failed.length <= STORIES) tell(seed, STORY_LINES);
    process.stdout.write(`seed ${seed} (${outcome.topology}): ${violation.rule}: ${violation.message} (again: ${again(seed)})\n`);
  }
};

if (single) {
  tell(first, Infinity);
  note(runSeed(options(first)));
} else {
  await runPool({
    first, topology, onOutcome: note,
    count: values.minutes !== undefined && values.seeds === undefined ? Number.MAX_SAFE_INTEGER - first : numberOf(values.seeds, 500),
    until: values.minutes === undefined ? Infinity : performance.now() + numberOf(values.minutes, 1) * 60_000,
  });
}
if (failed.length > 0) process.stdout.write(`failing seeds: ${failed.map(({ seed }) => seed).sort((a, b) => a - b).join(' ')}\n`);
process.stdout.write(`${passed} passed, ${failed.length} failed\n`);
process.exitCode = failed.length > 0 ? 1 : 0;

function options(seed: number): { seed: number; topology?: TopologyName } {
  return topology === null ? { seed } : { seed, topology };
}

function again(seed: number): string {
  return `npm run sim -- --seed ${seed}${topology === null ? '' : ` --topology ${topology}`}`;
}

/** Runs the seed again, which does the same again, and prints the end of its story. */
function tell(seed: number, lines: number): void {
  const story: string[] = [];
  runSeed({ ...options(seed), trace: (line) => story.push(line) });
  process.stdout.write(`${story.slice(-lines).join('\n')}\n`);
}
