import { displayWidth, padEnd, padStart } from './width.ts';

export interface Column<Row> {
  title: string;
  value: (row: Row) => string;
  align?: 'left' | 'right';
}

/** Rows under upper-case titles, two blanks between columns; a column in which every cell is empty is left out. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], indent = ''): string {
  const filled = columns
    .map((column) => ({ column, cells: rows.map((row) => column.value(row)) }))
    .filter(({ cells }) => cells.some((cell) => cell !== ''));
  const widths = filled.map(({ column, cells }) => Math.max(displayWidth(column.title), ...cells.map(displayWidth)));
  const line = (cells: string[]): string =>
    indent + cells.map((cell, i) => (filled[i]?.column.align === 'right' ? padStart : padEnd)(cell, widths[i] ?? 0)).join('  ').trimEnd() + '\n';
  if (rows.length === 0) return '';
  return line(filled.map(({ column }) => column.title.toUpperCase())) + rows.map((_, r) => line(filled.map(({ cells }) => cells[r] ?? ''))).join('');
}
