import { displayWidth, padEnd, padStart } from './width.ts';

/** One statement's outcome, as pg gives it with `rowMode: 'array'` and every type left as text. */
export interface ResultTable {
  /** The command tag, such as `INSERT 0 3`; null for an empty statement. */
  tag: string | null;
  rowCount: number | null;
  fields: { name: string; dataTypeID: number }[];
  rows: (string | null)[][];
}

/** Types that psql sets flush right (src/fe_utils/print.c, column_type_alignment). */
const RIGHT = new Set([20, 21, 23, 26, 28, 29, 700, 701, 790, 1700, 5069]);

/** The aligned format of psql: centred titles, a rule, `+` where a cell goes on in the next line, a row count. */
export function renderRows(result: ResultTable, nullText = ''): string {
  const { fields, rows } = result;
  const cells = rows.map((row) => fields.map((_, i) => (row[i] ?? nullText).replaceAll('\t', '        ').split(/\r?\n/)));
  const widths = fields.map((field, i) => Math.max(displayWidth(field.name), ...cells.flatMap((row) => (row[i] ?? []).map(displayWidth))));
  const last = fields.length - 1;
  const title = fields.map((field, i) => centre(field.name, widths[i] ?? 0)).map((text) => ` ${text} `).join('|');
  const rule = widths.map((width) => '-'.repeat(width + 2)).join('+');
  const body = cells.flatMap((row) => {
    const height = Math.max(1, ...row.map((lines) => lines.length));
    return Array.from({ length: height }, (_, line) =>
      row
        .map((lines, i) => {
          const text = lines[line] ?? '';
          const goesOn = line < lines.length - 1;
          const right = RIGHT.has(fields[i]?.dataTypeID ?? 0);
          const blank = i === last && !right && !goesOn;
          const set = right ? padStart(text, widths[i] ?? 0) : blank ? text : padEnd(text, widths[i] ?? 0);
          return ` ${set}${goesOn ? '+' : i === last ? '' : ' '}`;
        })
        .join('|'),
    );
  });
  const count = `(${rows.length} ${rows.length === 1 ? 'row' : 'rows'})`;
  return `${[title, rule, ...body, count].join('\n')}\n`;
}

function centre(text: string, width: number): string {
  const room = Math.max(0, width - displayWidth(text));
  return ' '.repeat(Math.floor(room / 2)) + text + ' '.repeat(Math.ceil(room / 2));
}
