/**
 * Runs the programs of the system that do what Node lacks (btrfs, filefrag, fallocate, losetup, mount). Their
 * output is read by machines, so they run in the C locale; an ordinary user's PATH has no sbin, so it is added.
 */
import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

const MAX_OUTPUT = 256 * 1024 * 1024;

function searchPath(): string {
  return [process.env['PATH'], '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'].filter(Boolean).join(delimiter);
}

/**
 * Runs `program` and returns what it said, whatever its exit code.
 * @throws the system error when the program cannot be started (`ENOENT`), `AbortError` when `signal` ended it.
 */
export function run(program: string, args: readonly string[], options: { signal?: AbortSignal | undefined } = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    execFile(
      program,
      args,
      {
        env: { ...process.env, PATH: searchPath(), LC_ALL: 'C' },
        maxBuffer: MAX_OUTPUT,
        ...(options.signal ? { signal: options.signal } : {}),
      },
      (error, stdout, stderr) => {
        if (error && typeof error.code !== 'number') reject(error);
        else resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      },
    );
  });
}

/** The last line that a program wrote on standard error: what a person wants to see of a failure. */
export function complaint(result: CommandResult): string {
  const lines = `${result.stdout}\n${result.stderr}`.split('\n').map((line) => line.trim()).filter(Boolean);
  return lines.at(-1) ?? `exit code ${result.code}`;
}

/** The path of `program`, or null where it is not installed. */
export async function which(program: string): Promise<string | null> {
  for (const folder of searchPath().split(delimiter)) {
    const file = join(folder, program);
    const found = await access(file, constants.X_OK).then(() => true, () => false);
    if (found) return file;
  }
  return null;
}
