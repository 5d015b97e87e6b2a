import { describe, expect, it } from 'vitest';
import { splitStatements } from './statements.ts';

describe('splitStatements', () => {
  it.each<[string, string, string[]]>([
    ['semicolons', 'select 1; select 2;', ['select 1', 'select 2']],
    ['no last semicolon', 'select 1;\nselect 2\n', ['select 1', 'select 2']],
    ['nothing', ' ;; -- only a comment\n /* and /* this */ ; */ ', []],
    ['quotes', `select 'a;b', "c;d", 'it''s;'; select 2`, [`select 'a;b', "c;d", 'it''s;'`, 'select 2']],
    ['escape strings', String.raw`select E'\';', e'\\'; select '\'; select 3`, [String.raw`select E'\';', e'\\'`, String.raw`select '\'`, 'select 3']],
    ['a name that ends in e before a string', String.raw`select date '\'; select 2`, [String.raw`select date '\'`, 'select 2']],
    ['dollar quotes', 'do $$ begin; end $$; select $a$;$$;$a$; select $1; select 2', ['do $$ begin; end $$', 'select $a$;$$;$a$', 'select $1', 'select 2']],
    ['a dollar inside a name', 'select a$b$c; select 2', ['select a$b$c', 'select 2']],
    ['comments', 'select 1 -- ; not here\n+ 1; /* ; /* ; */ ; */ select 2', ['select 1 -- ; not here\n+ 1', '/* ; /* ; */ ; */ select 2']],
    ['parentheses', 'create rule r as on insert to t do also (select 1; select 2); select 3', ['create rule r as on insert to t do also (select 1; select 2)', 'select 3']],
    ['atomic bodies', 'create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3', ['create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end', 'select 3']],
    ['a transaction', 'begin; select 1; end; select 2', ['begin', 'select 1', 'end', 'select 2']],
    ['an unclosed string', "select 'a; b", ["select 'a; b"]],
  ])('knows %s', (_what, text, statements) => {
    expect(splitStatements(text)).toEqual(statements);
  });
});
