import { describe, expect, it } from 'vitest';
import { formatLsn } from '../../wal/lsn.ts';
import type { SqlSession } from '../sql.ts';
import { RewindSource } from './source.ts';

const answering = (rows: object[] | Error): RewindSource =>
  new RewindSource({ query: async () => { if (rows instanceof Error) throw rows; return rows; } } as unknown as SqlSession, 'n2');

describe('the source', () => {
  it.each([
    ['0/2000028', '0/2000000'], ['0/2002018', '0/2002000'], ['0/2002028', '0/2002028'], ['0/2002000', '0/2002000'], ['0/2000130', '0/2000130'],
  ])('that inserts at %s has written to %s: a page\'s header is no record', async (inserts, end) => {
    expect(formatLsn(await answering([{ lsn: inserts }]).insertEnd(1 << 24))).toBe(end);
  });

  it('is named where it cannot be read', async () => {
    await expect(answering(new Error('too many clients')).list()).rejects.toMatchObject({ code: 'postgres-failed', message: 'n2 could not be read: too many clients' });
  });

  it('is refused with tablespaces', async () => {
    await expect(answering([{ path: 'pg_tblspc', size: 0, isdir: true }, { path: 'pg_tblspc/16500', size: 0, isdir: true }]).list()).rejects.toThrow(/n2, which has tablespaces/);
  });
});
