// Compiles src into dist. The new output takes the old one's place only when it is whole, so that a build that fails, or
// one beside a running agent, takes nothing away; a deleted source never leaves its output behind.
import { execFileSync } from 'node:child_process';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const fresh = at(`dist.new-${process.pid}`);
const old = at(`dist.old-${process.pid}`);

try {
  execFileSync(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', fresh], { cwd: at(''), stdio: 'inherit' });
  if (existsSync(at('dist'))) renameSync(at('dist'), old);
  renameSync(fresh, at('dist'));
} catch {
  process.exitCode = 1; // tsc has printed what is wrong
} finally {
  rmSync(fresh, { recursive: true, force: true });
  rmSync(old, { recursive: true, force: true });
}
