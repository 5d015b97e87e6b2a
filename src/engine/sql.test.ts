import { expect, test } from 'vitest';
import { PgorbitError } from '../errors.ts';
import { SqlSession, isAway } from './sql.ts';

const withCode = (code: string): Error => Object.assign(new Error('x'), { code });

test('a server that is away is told from one that refuses, and from trouble on this side', async () => {
  for (const code of ['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', '57P03', '57P01', '08006']) expect(isAway(withCode(code)), code).toBe(true);
  for (const code of ['ENOENT', 'EACCES', 'ENOSPC', '42501', '58P01', '28P01', '57014']) expect(isAway(withCode(code)), code).toBe(false);
  expect(isAway(new Error('Connection terminated unexpectedly'))).toBe(true);
  expect(isAway(new PgorbitError('timed-out', 'x'))).toBe(true);
  expect(isAway(new PgorbitError('wal-invalid', 'x'))).toBe(false);
  const session = new SqlSession({ host: '127.0.0.1', port: 1, user: 'u', password: '' });
  expect(isAway(await session.query('select 1').catch((error: unknown) => error))).toBe(true);
  await session.close();
});
