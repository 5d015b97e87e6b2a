import { expect, test } from 'vitest';
import { renderRows } from './table.ts';

test('rows of different columns line up, bytes in MB', () => {
  expect(renderRows([{ way: 'attach', total: 1.9, newBytes: 3 * 1024 * 1024 }, { way: 'pg_basebackup', total: 31 }])).toBe(
    ['way            total  newBytes', 'attach           1.9    3.0 MB', 'pg_basebackup     31         -', ''].join('\n'),
  );
});
