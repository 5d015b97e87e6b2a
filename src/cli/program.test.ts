import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { COMMANDS } from './commands/index.ts';
import { commandIn, runCommandLine, wantsJson } from './program.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pgorbit-cli-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** Runs the command line in-process with an empty home; standard input is no terminal. */
async function pgorbit(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await runCommandLine(argv, {
    env: { PGORBIT_HOME: join(home, 'h'), PATH: process.env['PATH'], HOME: home },
    cwd: home,
    stdin: { isTTY: false } as NodeJS.ReadStream,
    stdout: { write: (text) => void (out += text) },
    stderr: { write: (text) => void (err += text) },
    signal: new AbortController().signal,
  });
  return { code, out, err };
}

describe('the command line', () => {
  const nested = ['add replica', 'add logger', 'add standby', 'wal ls', 'wal verify', 'volume create', 'volume list', 'volume du', 'volume reclaim', 'volume grow', 'volume check',
    'host add', 'host ls', 'host token', 'host remove', 'host admin-token', 'agent install-service', 'rotate certificates', 'standby follow', 'standby rebuild', 'site switchover', 'site promote', 'site detach'];
  const single = COMMANDS.filter(({ name, hidden }) => hidden !== true && name !== 'add' && name !== 'volume' && name !== 'wal' && name !== 'host' && name !== 'rotate' && name !== 'standby' && name !== 'site').map(({ name }) => name);

  it.each([...single, ...nested])('has help with an example for %s', async (name) => {
    const { code, out, err } = await pgorbit(...name.split(' '), '--help');
    expect(code).toBe(0);
    expect(err).toBe('');
    expect(out).toMatch(/Examples?:\n {2}(psql "\$\()?pgorbit /);
    expect(out).toContain('--json');
  });

  it('lists every command that is not hidden', async () => {
    const { code, out } = await pgorbit('--help');
    expect(code).toBe(0);
    const listed = COMMANDS.filter(({ name, summary }) => out.includes(`  ${name} `) && out.includes(summary));
    expect(listed).toEqual(COMMANDS.filter(({ hidden }) => hidden !== true));
  });

  it.each([
    ['an unknown command', ['explode']],
    ['an unknown option', ['status', '--explode']],
    ['a missing operand', ['promote']],
    ['too many operands', ['down', 'now']],
    ['a bad time-out', ['status', '--timeout', 'soon']],
    ['a negative number of replicas', ['scale', '--replicas', '-1']],
    ['a number of replicas that is none', ['scale', '--replicas', 'two']],
    ['an endpoint that there is not', ['uri', '--endpoint', 'rx']],
    ['a member and an endpoint', ['uri', '--endpoint', 'rw', '--member', 'n1']],
    ['settings that are none', ['set', 'main']],
    ['a size that is none', ['volume', 'create', 'v', '--size', 'huge']],
    ['following as one document', ['events', '-f', '--json']],
    ['a role that there is not', ['add', 'arbiter']],
    ['a volume for a replica', ['add', 'replica', '--volume', 'v']],
    ['WAL of nothing', ['wal', 'ls']],
    ['WAL of two things', ['wal', 'verify', '--member', 'n1', 'x']],
    ['a command of commands alone', ['volume']],
    ['a file that is not there', ['up', 'nowhere.yaml']],
    ['a folder as manifest', ['up', '.']],
  ])('refuses %s as wrong use, and changes nothing', async (_what, argv) => {
    const { code, out, err } = await pgorbit(...argv);
    expect(code).toBe(2);
    expect(out.replace(/^\{[^]*\}\n$/, '')).toBe('');
    expect(err).toMatch(/^error: .+\nhint: .+/m);
    expect(readdirSync(home)).toEqual([]);
  });

  it.each([['status'], ['sql', '-c', 'select 1'], ['switchover'], ['down'], ['destroy', '--yes'], ['logs', 'n1'], ['events'], ['uri'], ['volume', 'du'], ['restart'], ['add', 'logger'], ['wal', 'ls', '--member', 'n1']])('says that there is no cluster: %s', async (...argv) => {
    const { code, err } = await pgorbit(...argv);
    expect(code).toBe(2);
    expect(err).toContain('there is no cluster');
    expect(err).toContain('pgorbit up');
  });

  it('prints an error as the one JSON document', async () => {
    const { code, out, err } = await pgorbit('status', '--json');
    expect(code).toBe(2);
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'no-such-cluster' } });
    expect(err).toContain('error: ');
    expect(JSON.parse((await pgorbit('--json', 'status', '--explode')).out)).toMatchObject({ error: { code: 'usage' } });
  });

  it('shows every error of a manifest where it stands, and writes nothing', async () => {
    writeFileSync(join(home, 'bad.yaml'), 'cluster: shop\nhosts: { h1: 127.0.0.1 }\nvolumes: { main: ./v }\ngroups:\n  main:\n    storage: shared\n    volume: mian\n    members:\n      n1: { host: h1, role: primray }\n');
    const { code, err } = await pgorbit('up', 'bad.yaml');
    expect(code).toBe(2);
    expect(err).toContain('bad.yaml:7:');
    expect(err).toContain('bad.yaml:9:');
    expect(err).toContain('nothing was changed');
    expect(readdirSync(home)).toEqual(['bad.yaml']);
  });

  it('gives version as text and as JSON', async () => {
    expect((await pgorbit('version')).out).toMatch(/^pgorbit \d+\.\d+\.\d+\n$/);
    expect(JSON.parse((await pgorbit('version', '--json')).out)).toHaveProperty('version');
    expect((await pgorbit('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('commandIn and wantsJson', () => {
  it('find the command behind options with values', () => {
    expect(commandIn(['--cluster', 'status', 'up'])).toBe('up');
    expect(commandIn(['--json', 'status'])).toBe('status');
    expect(commandIn(['help', 'up'])).toBe('up');
    expect(commandIn(['--help'])).toBeUndefined();
  });

  it('do not take an operand for the option', () => {
    expect(wantsJson(['status', '--json'])).toBe(true);
    expect(wantsJson(['psql', '--', '--json'])).toBe(false);
  });
});
