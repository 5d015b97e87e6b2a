/** pgbench of the machine's PostgreSQL: TPC-B tables and load. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PgorbitError } from '../../src/errors.ts';
import { mustRun, startProgram, type Running } from '../../test/support/program.ts';
import { cleanUpWith } from '../../test/support/cleanup.ts';

/** PostgreSQL's own tools: Debian's, of the version that the benches run. */
export const VERSION = 15;
const BIN = `/usr/lib/postgresql/${VERSION}/bin`;

/** The path of a program of PostgreSQL's. @throws `engine-missing` */
export function tool(name: string): string {
  const file = join(BIN, name);
  if (existsSync(file)) return file;
  throw new PgorbitError('engine-missing', `the bench needs ${file}`, { hint: `apt-get install postgresql-${VERSION}` });
}

/** Bytes of pgbench's tables and indexes: 15 MB a unit of scale (measured; the manual says 100,000 accounts a unit). */
export const dataBytes = (scale: number): number => scale * 15.2 * 1024 * 1024;

/** Makes the tables. */
export async function initialise(uri: string, scale: number): Promise<void> {
  await mustRun(tool('pgbench'), ['-i', '-q', '-s', String(scale), uri]);
}

export interface LoadResult {
  tps: number;
  /** Transactions that failed for good. */
  failed: number;
  /** Errors that pgbench wrote, a line each. */
  errors: string[];
  /** Its exit code. */
  code: number;
}

/** A load in the background. */
export interface Load {
  /** Ends it now and says how it went. pgbench then prints no summary: its progress lines are read. */
  stop(): Promise<LoadResult>;
  /** Resolves when it ends by itself: a server that dies ends it. */
  ended: Promise<LoadResult>;
}

/** Runs TPC-B with `clients` clients for `forSeconds` at most. */
export function startLoad(uri: string, options: { clients?: number; forSeconds: number }): Load {
  const clients = options.clients ?? 2;
  const running: Running = startProgram(tool('pgbench'), ['-n', '-c', String(clients), '-j', '1', '-T', String(options.forSeconds), '-P', '1', uri]);
  const forget = cleanUpWith(async () => {
    await running.stop('SIGKILL');
  });
  const ended = running.ended.then((end) => {
    void forget();
    return readLoad(end.code, end.stdout, end.stderr);
  });
  return {
    ended,
    stop: async () => {
      await running.stop('SIGTERM');
      return ended;
    },
  };
}

/** What pgbench said: progress lines are `progress: 1.0 s, 512.0 tps, lat 3.9 ms stddev 1.2, 0 failed`. Pure. */
export function readLoad(code: number, stdout: string, stderr: string): LoadResult {
  const progress = [...stderr.matchAll(/^progress: [\d.]+ s, ([\d.]+) tps,.*?(?:, (\d+) failed)?$/gm)];
  const summary = /^tps = ([\d.]+)/m.exec(stdout)?.[1];
  const rates = progress.map((line) => Number(line[1]));
  const mean = rates.length === 0 ? 0 : rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  return {
    tps: summary === undefined ? mean : Number(summary),
    failed: progress.reduce((sum, line) => sum + Number(line[2] ?? 0), 0),
    errors: stderr.split('\n').filter((line) => /error|aborted|FATAL|PANIC/i.test(line) && !line.startsWith('progress:')),
    code,
  };
}
