import { describe, expect, it } from 'vitest';
import { foldersOf } from './restore/fetch.ts';
import { keyOf, pathOf } from './stored-files.ts';

describe('keyOf', () => {
  it('takes any bytes there and back, and leaves usual names as they are', () => {
    const all = Array.from({ length: 255 }, (_, at) => String.fromCharCode(at + 1)).join('');
    expect(pathOf(keyOf(all))).toBe(all);
    expect(keyOf(all)).toMatch(/^[\w%./-]+$/);
    expect(keyOf('base/1/1259_fsm.1-x')).toBe('base/1/1259_fsm.1-x');
    expect(keyOf('a%41 \xe9')).toBe('a%2541%20%E9');
  });
});

describe('foldersOf', () => {
  it('has all that is needed, outer ones first', () => {
    expect(foldersOf(['.', 'base/1', 'pg_notify', 'base'])).toEqual(['', 'base', 'base/1', 'pg_notify']);
  });
});
