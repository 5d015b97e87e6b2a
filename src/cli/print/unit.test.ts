import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { renderUnit, unitName, type UnitFacts } from './unit.ts';

const facts: UnitFacts = {
  cluster: 'shop', host: 'h1', home: '/var/lib/pgorbit', command: ['/usr/bin/node', '--max-old-space-size=128', '/opt/pgorbit/dist/agent/main.js', '--home', '/var/lib/pgorbit', '--cluster', 'shop', '--host', 'h1', '--replace'],
  environment: { PATH: '/usr/bin:/bin', HOME: '/root' }, user: null, logFile: '/var/lib/pgorbit/shop/h1/agent/agent.log', askedToEnd: 10, wantedBy: 'multi-user.target',
};

it('keeps PostgreSQL running without the agent, and the agent running', () => {
  const lines = renderUnit(facts).split('\n');
  expect(lines).toEqual(expect.arrayContaining([
    'Type=exec', 'Restart=always', 'RestartPreventExitStatus=10', 'KillMode=process', 'Delegate=yes', 'LimitNOFILE=65536', 'After=network-online.target', 'Wants=network-online.target',
    'ExecStart=/usr/bin/node --max-old-space-size=128 /opt/pgorbit/dist/agent/main.js --home /var/lib/pgorbit --cluster shop --host h1 --replace',
    'Environment=PATH=/usr/bin:/bin', 'StandardOutput=append:/var/lib/pgorbit/shop/h1/agent/agent.log', 'WantedBy=multi-user.target',
  ]));
  expect(lines.some((line) => line.startsWith('User='))).toBe(false);
  expect(renderUnit({ ...facts, user: 'pg' })).toContain('\nUser=pg\n');
  expect(unitName(facts)).toBe('pgorbit-shop-h1.service');
});

it('quotes what systemd would take apart or expand', () => {
  const text = renderUnit({ ...facts, home: '/srv/my data', command: ['/usr/bin/node', '/srv/a "b"/100%/$HOME'], environment: { TZ: 'a b%' } });
  expect(text).toContain('ExecStart=/usr/bin/node "/srv/a \\"b\\"/100%%/$$HOME"\n');
  expect(text).toContain('RequiresMountsFor="/srv/my data"\n');
  expect(text).toContain('Environment="TZ=a b%%"\n');
});

/** What systemd-analyze says of a unit; null where there is none. */
async function verify(text: string): Promise<{ code: number; said: string } | null> {
  const dir = await mkdtemp(join(tmpdir(), 'pgorbit-unit-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'pgorbit-shop-h1.service');
  await writeFile(file, text);
  return new Promise((resolve) => {
    execFile('systemd-analyze', ['verify', '--man=no', '--recursive-errors=no', file], (error, stdout, stderr) => {
      if ((error as NodeJS.ErrnoException | null)?.code === 'ENOENT') return resolve(null);
      resolve({ code: error === null ? 0 : 1, said: stdout + stderr });
    });
  });
}

it('is accepted by systemd', async ({ skip }) => {
  const own = { ...facts, command: [process.execPath, '/srv/a b/main.js', '--replace'] };
  const verdict = await verify(renderUnit(own));
  if (verdict === null) return skip('systemd-analyze is not installed');
  expect(verdict).toEqual({ code: 0, said: '' });
  expect((await verify(renderUnit(own).replace('Type=exec', 'Type=exce')))?.said).toContain('exce');
});
