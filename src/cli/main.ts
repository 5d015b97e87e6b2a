/** The process `pgorbit`: signals, standard streams and the exit code. */
import { Interrupted } from './context.ts';
import { INTERRUPTED, runCommandLine } from './program.ts';

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // Twice means now.
    if (interrupt.signal.aborted) process.exit(INTERRUPTED);
    interrupt.abort(new Interrupted());
  });
}
// `pgorbit events | head`: the reader has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const code = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  cwd: process.cwd(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupt.signal,
});
// A connection that is still closing must not hold up the shell; what was written goes out first.
process.stdout.write('', () => process.exit(code));
