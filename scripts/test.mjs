// All tests: whole clusters, which mostly wait, beside everything else. Their output comes when the other has ended.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));

/** Runs projects of vitest.config.ts; resolves with the exit code and what was held back. */
function run(projects, stdout) {
  const child = spawn(process.execPath, [vitest, 'run', ...projects.flatMap((name) => ['--project', name])], { stdio: ['ignore', stdout, stdout] });
  const held = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => held.push(chunk));
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: 1, output: String(error) }));
    child.on('close', (code) => resolve({ code: code ?? 1, output: Buffer.concat(held) }));
  });
}

const clusters = run(['system'], 'pipe');
const rest = await run(['unit', 'pg'], 'inherit');
const { code, output } = await clusters;
process.stdout.write(output);
process.exitCode = rest.code || code;
