/** Rows as a person reads them. Pure. */
import type { Row, Value } from './bench.ts';

/** Columns in the order in which they first appear; numbers to the right. */
export function renderRows(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = rows.map((row) => columns.map((column) => text(column, row[column] ?? null)));
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((line) => line[i]!.length)));
  const numeric = columns.map((column) => rows.some((row) => typeof row[column] === 'number'));
  const line = (fields: readonly string[]): string => fields.map((field, i) => (numeric[i] ? field.padStart(widths[i]!) : field.padEnd(widths[i]!))).join('  ').trimEnd();
  return [line(columns), ...cells.map(line)].map((one) => `${one}\n`).join('');
}

const MB = 1024 * 1024;

/** A column whose name ends in `Bytes` is printed in MB. */
function text(column: string, value: Value): string {
  if (value === null) return '-';
  if (typeof value === 'number' && column.endsWith('Bytes')) return `${(value / MB).toFixed(1)} MB`;
  return String(value);
}
