/** Errors of a manifest as a good compiler prints them. */
import type { ManifestError } from './problem.ts';

/**
 * For each error `file:line:column`, what is wrong and at which key, the line with carets below the place, and what
 * would be right; at the end how many there are. `text` is the manifest's. Plain text with a final newline.
 */
export function formatErrors(errors: readonly ManifestError[], text: string): string {
  const lines = text.split(/\r?\n/);
  const gutter = String(Math.max(...errors.map((e) => e.line), 1)).length;
  const blocks = errors.map((error) => {
    const out = [`${error.file}:${error.line}:${error.column}: ${error.message}${error.key === '' ? '' : `  [${error.key}]`}`];
    const line = lines[error.line - 1];
    if (line !== undefined && line.trim() !== '') {
      const before = line.slice(0, error.column - 1);
      out.push(`  ${String(error.line).padStart(gutter)} | ${line}`);
      out.push(`  ${' '.repeat(gutter)} | ${blank(before)}${'^'.repeat(width(line.slice(error.column - 1, error.column - 1 + error.length)) || 1)}`);
    }
    if (error.expected !== '') out.push(`  ${' '.repeat(gutter)} = help: ${error.expected}`);
    return out.join('\n');
  });
  const files = new Set(errors.map((e) => e.file));
  return `${[...blocks, `${errors.length} ${errors.length === 1 ? 'error' : 'errors'} in ${[...files].join(', ')}`].join('\n\n')}\n`;
}

/** As wide as `text` on a terminal, but blank; tabs stay tabs, so that the terminal expands both lines alike. */
const blank = (text: string): string => [...text].map((c) => (c === '\t' ? c : ' '.repeat(width(c)))).join('');

/** Columns on a terminal: two for a Chinese, Japanese or Korean character and full-width forms, none for a combining mark. */
function width(text: string): number {
  let columns = 0;
  for (const c of text) columns += /\p{M}/u.test(c) ? 0 : /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u.test(c) ? 2 : 1;
  return columns;
}
