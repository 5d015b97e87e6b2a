import type { ManifestError } from './problem.ts';

/** All errors as a compiler prints them: `file:line:column`, the line with carets, what is wrong, what would be right. */
export function formatErrors(errors: readonly ManifestError[], text: string): string {
  return errors.map((e) => `${e.file}:${e.line}:${e.column}: ${e.message}${text === '' ? '' : '\n'}`).join('');
}
