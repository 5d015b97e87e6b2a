/** The documents keep step with the code: what the code names, they name. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../src/cli/commands/index.ts';
import { ERROR_CODES } from '../src/errors.ts';
import { RULES } from '../src/group/decide/rules.ts';
import { loadManifest } from '../src/manifest/load.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const text = (path: string): string => readFileSync(join(root, path), 'utf8');

function markdownIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md')).map((name) => join(folder, name));
}
const PAGES = ['README.md', 'README.zh-CN.md', 'CHANGELOG.md', ...markdownIn('docs')];

/** The cells of every table row. */
const rows = (path: string): string[][] =>
  text(path).split('\n').filter((line) => line.startsWith('|')).map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()));

/** The `word: 'x'` of one exported type of a source file: types are gone when tests run. */
function kinds(path: string, type: string, word: string): string[] {
  const body = new RegExp(`export type ${type} =([\\s\\S]*?);\\n\\n`).exec(text(path))?.[1] ?? '';
  return [...body.matchAll(new RegExp(`\\b${word}: '([a-z-]+)'`, 'g'))].map((match) => match[1]!);
}

describe('docs/errors.md', () => {
  const documented = new Map(rows('docs/errors.md').flatMap(([code, exit]) => (/^`[a-z-]+`$/.test(code ?? '') ? [[code!.slice(1, -1), Number(exit)] as const] : [])));

  it('has every code with its exit code, and no other', () => {
    expect(Object.fromEntries(documented)).toEqual(ERROR_CODES);
  });
});

describe('docs/cli.md', () => {
  const headings = [...text('docs/cli.md').matchAll(/^### `pgorbit ([a-z]+)(?: ([a-z]+))?/gm)].map(([, command, sub]) => [command, sub]);

  it('has every command, and no other', () => {
    expect([...new Set(headings.map(([command]) => command))].sort()).toEqual([...COMMANDS.map((command) => command.name), 'help'].sort());
  });

  it('has every command of `volume`', () => {
    const defined = [...text('src/cli/commands/volume.ts').matchAll(/sub\(command, '([a-z]+)'/g)].map((match) => match[1]);
    expect(headings.filter(([command]) => command === 'volume').map(([, sub]) => sub).sort()).toEqual(defined.sort());
  });

  it.each(['README.md', 'README.zh-CN.md'])('%s has every command that is not hidden', (page) => {
    const named = new Set([...text(page).matchAll(/pgorbit ([a-z]+)/g)].map((match) => match[1]));
    expect(COMMANDS.filter((command) => command.hidden !== true && !named.has(command.name)).map((command) => command.name)).toEqual([]);
  });
});

describe('docs/architecture.md', () => {
  const named = new Set(rows('docs/architecture.md').flatMap(([first]) => [...(first ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1])));
  const steps = new Set([...text('docs/architecture.md').matchAll(/`([a-z-]+)`/g)].map((match) => match[1]));

  it('has a row for every rule', () => {
    expect(RULES.map((rule) => rule.name).filter((name) => !named.has(name))).toEqual([]);
  });

  it('has a row for every goal', () => {
    const goals = kinds('src/group/model.ts', 'Goal', 'kind');
    expect(goals).toContain('promote');
    expect(goals.filter((goal) => !named.has(goal))).toEqual([]);
  });

  it('names every step', () => {
    const all = kinds('src/group/member/next-step.ts', 'Step', 'do');
    expect(all).toContain('take-over');
    expect(all.filter((step) => !steps.has(step))).toEqual([]);
  });

  it('names every folder of the sources', () => {
    const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => `src/${entry.name}`);
    const rooms = [...named].map(String);
    expect(folders.filter((folder) => !rooms.some((room) => room === folder || room.startsWith(`${folder}/`)))).toEqual([]);
  });
});

describe('docs/manifest.md', () => {
  const keys = new Set(rows('docs/manifest.md').map(([key]) => key));

  it('has every key of the schema', () => {
    const schema = JSON.parse(text('schema/pgorbit.schema.json')) as unknown;
    expect([...keysOf(schema)].filter((key) => !keys.has(`\`${key}\``))).toEqual([]);
  });
});

describe('manifests', () => {
  const shown = PAGES.flatMap((page) => [...text(page).matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => ({ page, block: match[1]! })));

  it.each(shown.filter(({ block }) => block.includes('cluster:')))('shown in $page can be loaded', ({ page, block }) => {
    expect(loadManifest(block, { file: page, baseDir: '/' })).toMatchObject({ ok: true });
  });
});

/** Every property name that a JSON Schema defines. */
function keysOf(schema: unknown, found = new Set<string>()): Set<string> {
  if (typeof schema !== 'object' || schema === null) return found;
  const { properties } = schema as { properties?: Record<string, unknown> };
  for (const key of Object.keys(properties ?? {})) found.add(key);
  for (const value of Object.values(schema)) keysOf(value, found);
  return found;
}

describe('links', () => {
  it.each(PAGES)('of %s lead to files that are there', (page) => {
    const targets = [...text(page).replaceAll(/```[\s\S]*?```/g, '').matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map((match) => match[1]!);
    const local = targets.filter((target) => !/^[a-z]+:/.test(target)).map((target) => join(dirname(page), target));
    expect(local.filter((target) => !existsSync(join(root, target))).map((target) => relative('.', target))).toEqual([]);
  });

  it('reach every page of docs from the README', () => {
    const reached = new Set(['README.md']);
    for (const page of reached) {
      for (const [, target] of text(page).matchAll(/\]\(([^)#\s]+\.md)(?:#[^)]*)?\)/g)) {
        if (!/^[a-z]+:/.test(target!)) reached.add(join(dirname(page), target!));
      }
    }
    expect(PAGES.filter((page) => !reached.has(page))).toEqual([]);
  });
});
