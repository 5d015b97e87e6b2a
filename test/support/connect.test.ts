import { expect, test } from 'vitest';
import { targetsOf } from './connect.ts';

test('a URI with several hosts names each server', () => {
  const targets = targetsOf('postgresql://postgres:a%2Fb@127.0.0.1:5433,[::1]:5434/shop?target_session_attrs=read-write');
  expect(targets).toEqual([
    { host: '127.0.0.1', port: 5433, user: 'postgres', password: 'a/b', database: 'shop' },
    { host: '::1', port: 5434, user: 'postgres', password: 'a/b', database: 'shop' },
  ]);
});

test('what is no such URI is refused without its password', () => {
  expect(() => targetsOf('mysql://u:secret@h/db')).toThrow(/^(?!.*secret)/);
});
