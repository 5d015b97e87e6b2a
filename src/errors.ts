/**
 * Every error that a person may read has a code from this table. The code is what scripts match and what
 * docs/errors.md explains; the exit code is the contract of the CLI (0 done, 1 failed, 2 wrong use, 3 refused
 * because it would be unsafe, 4 timed out).
 */
export const ERROR_CODES = {
  // Wrong use: nothing was changed.
  'usage': 2,
  'manifest-invalid': 2,
  'manifest-unreadable': 2,
  'setting-refused': 2,
  'no-such-cluster': 2,
  'no-such-group': 2,
  'no-such-member': 2,
  'no-such-host': 2,
  'no-such-volume': 2,
  'no-such-backup': 2,
  'needs-full-backup': 2,
  'token-invalid': 2,
  // Refused because it would be unsafe.
  'unsafe': 3,
  'not-ours': 3,
  'other-cluster': 3,
  'remove-primary': 3,
  'locked': 3,
  'fenced': 3,
  'fence-failed': 3,
  'backup-damaged': 3,
  'target-unreachable': 3,
  // Failed: the environment lacks something or a step did not work.
  'engine-missing': 1,
  'engine-failed': 1,
  'port-in-use': 1,
  'host-unreachable': 1,
  'agent-unreachable': 1,
  'agent-failed': 1,
  'no-clone-support': 1,
  'volume-failed': 1,
  'volume-full': 1,
  'shared-memory': 1,
  'permission': 1,
  'postgres-failed': 1,
  'wal-invalid': 1,
  'state-conflict': 1,
  'state-corrupt': 1,
  'operation-failed': 1,
  'internal': 1,
  // Timed out: what was asked may still happen.
  'timed-out': 4,
} as const satisfies Record<string, 1 | 2 | 3 | 4>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** The shape in which an error crosses processes and appears in `--json` output. */
export interface ErrorReport {
  code: ErrorCode;
  /** What is wrong and where, one sentence. */
  message: string;
  /** What to do about it: a command where there is one. */
  hint?: string;
}

/** An error for a person: what, where, and what to do. */
export class PgorbitError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { hint?: string | undefined; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'PgorbitError';
    this.code = code;
    this.hint = options.hint;
  }

  get exitCode(): 1 | 2 | 3 | 4 {
    return ERROR_CODES[this.code];
  }

  toReport(): ErrorReport {
    return { code: this.code, message: this.message, ...(this.hint === undefined ? {} : { hint: this.hint }) };
  }

  static fromReport(report: ErrorReport): PgorbitError {
    return new PgorbitError(report.code in ERROR_CODES ? report.code : 'internal', report.message, { hint: report.hint });
  }
}

/** Any thrown value as a report; an unforeseen one keeps its message under `internal`. */
export function toReport(error: unknown): ErrorReport {
  if (error instanceof PgorbitError) return error.toReport();
  if (errnoOf(error) === 'ENOSPC') {
    return { code: 'volume-full', message: (error as Error).message, hint: '`pgorbit volume grow`, or free space on the file system; what waits for it goes on by itself' };
  }
  return { code: 'internal', message: error instanceof Error ? error.message : String(error) };
}

/** The `code` of a Node system error (`ENOENT`, `EADDRINUSE`), or undefined. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}
