/** Six short rounds of faults with fixed seeds; longer ones: `npm run chaos`. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { whyNoNetwork } from '../chaos/net/network.ts';
import { ROOT } from './support/built.ts';
import { runProgram } from './support/program.ts';
import { EMBEDDED_18, whyNoEngine } from './support/scenes.ts';

interface Answer {
  rounds: { seed: number; failures: string[] }[];
  passed: number;
  acknowledged: number;
}

const reason = (await whyNoNetwork()) ?? whyNoEngine(EMBEDDED_18);

test.skipIf(reason !== null)(`faults on a three-node group in a network of its own${reason === null ? '' : ` (skipped: ${reason})`}`, { timeout: 400_000 }, async () => {
  const args = [join(ROOT, 'scripts', 'run.mjs'), join(ROOT, 'chaos', 'main.ts'), '--rounds', '6', '--seed', '1', '--longest', '8', '--json'];
  const { stdout, stderr } = await runProgram(process.execPath, args, { cwd: ROOT });
  const answer = JSON.parse(stdout) as Answer;
  expect(answer.rounds.flatMap((round) => round.failures.map((failure) => `seed ${round.seed}: ${failure}`)), stderr).toEqual([]);
  expect(answer.passed).toBe(6);
  expect(answer.acknowledged).toBeGreaterThan(500);
});
