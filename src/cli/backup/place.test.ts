import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAuthority, issueAdmin } from '../../agent/identity/ca.ts';
import { writeIdentity } from '../../agent/identity/files.ts';
import { adminDir } from '../../home.ts';
import { loadManifest } from '../../manifest/load.ts';
import type { ClusterSpec } from '../../group/model.ts';
import { writeApplied, writeCluster } from '../admin.ts';
import type { Context } from '../context.ts';
import { archivedTo, placeOf, placeOfBackups } from './place.ts';

const specOf = (archives: Record<string, string | null>): ClusterSpec => {
  const groups = Object.entries(archives).map(([name, to]) => `  ${name}: { storage: local, ${to === null ? '' : `archive: '${to}', `}members: { ${name}1: primary } }\n`);
  const loaded = loadManifest(`cluster: shop\nengine: { kind: postgres, version: 18 }\nhosts: { h1: 127.0.0.1 }\ngroups:\n${groups.join('')}`, { file: 'x', baseDir: '/' });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.errors));
  return loaded.spec;
};

describe('archivedTo', () => {
  it.each<[string, Record<string, string | null>, string | undefined, string, string[]]>([
    ['the only group', { a: '/b' }, undefined, '/b', ['a']],
    ['the only one that is archived', { a: null, b: 's3://x/y' }, undefined, 's3://x/y', ['b']],
    ['the one place of several', { a: '/b', b: '/b' }, undefined, '/b', ['a', 'b']],
    ['the named group', { a: '/b', b: '/c' }, 'b', '/c', ['b']],
  ])('is that of %s', (_what, archives, wanted, where, groups) => {
    expect(archivedTo(specOf(archives), wanted, '--to')).toEqual({ where, groups });
  });

  it.each<[string, Record<string, string | null>, string | undefined, object]>([
    ['none', { a: null }, undefined, { code: 'usage', message: 'no repository was named, and the manifest of cluster shop names none for a', hint: expect.stringContaining('--to FOLDER') }],
    ['none for the named group', { a: null, b: '/c' }, 'a', { code: 'usage', message: expect.stringContaining('names none for a') }],
    ['several', { a: '/b', b: '/c' }, undefined, { code: 'usage', message: expect.stringContaining('to /b and to /c'), hint: expect.stringContaining('a, b') }],
    ['a group that is not there', { a: '/b' }, 'c', { code: 'no-such-group' }],
  ])('refuses %s', (_what, archives, wanted, error) => {
    expect(() => archivedTo(specOf(archives), wanted, '--to')).toThrow(expect.objectContaining(error));
  });
});

describe('placeOf', () => {
  let home: string;
  const told: string[] = [];
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'pgorbit-place-'));
    told.length = 0;
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));
  const context = (env: NodeJS.ProcessEnv = {}, wantedCluster?: string): Context => ({ env, cwd: home, home, wantedCluster, progress: { note: (text: string) => void told.push(text) }, signal: new AbortController().signal }) as unknown as Context;
  const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no error', (error: unknown) => error);

  it('is what the option says, else the environment, else the manifest, and what was not said is told', async () => {
    const at = (env: NodeJS.ProcessEnv, named?: string): Promise<unknown> => placeOf(context(env), { option: '--from', named, group: undefined, spec: async () => specOf({ a: '/b' }) });
    expect(await at({ PGORBIT_BACKUPS: '/e' }, '/o')).toEqual({ where: '/o', cluster: undefined });
    expect(told).toEqual([]);
    expect(await at({ PGORBIT_BACKUPS: '/e' })).toEqual({ where: '/e', cluster: undefined });
    expect(await at({})).toEqual({ where: '/b', cluster: 'shop' });
    expect(told).toEqual(['the repository is /e (PGORBIT_BACKUPS)', 'the repository is /b, where cluster shop archives a']);
  });

  it('is known without an agent, and refused where nothing says it', async () => {
    expect(await errorOf(placeOfBackups(context(), undefined, undefined))).toMatchObject({ code: 'usage', message: expect.stringContaining('no repository was named, and there is no cluster'), hint: expect.stringContaining('--from') });
    mkdirSync(adminDir(home, 'shop'), { recursive: true });
    // Nobody listens on port 1.
    await writeCluster(home, { format: 1, cluster: 'shop', clusterId: 'x', agents: [{ host: 'h1', address: '127.0.0.1', port: 1 }], remote: [], founders: ['h1'] });
    await writeApplied(home, 'shop', { source: null, baseDir: '/', sha256: '', spec: specOf({ a: '/b' }) });
    await writeIdentity(adminDir(home, 'shop'), await issueAdmin(await createAuthority('x')));
    expect(await placeOfBackups(context(), undefined, undefined)).toEqual({ where: '/b', cluster: 'shop' });
    expect(await errorOf(placeOfBackups(context({}, 'bank'), undefined, undefined))).toMatchObject({ code: 'usage', message: expect.stringContaining('no cluster "bank"') });
  });
});
