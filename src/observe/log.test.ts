import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createLog, type Log, type LogLevel, scrub, silentLog } from './log.ts';

function logTo(level?: LogLevel): { log: Log; lines(): Record<string, unknown>[]; text(): string } {
  const dir = mkdtempSync(join(tmpdir(), 'pgorbit-agentlog-'));
  const fd = openSync(join(dir, 'log'), 'a');
  onTestFinished(() => {
    closeSync(fd);
    rmSync(dir, { recursive: true, force: true });
  });
  const text = (): string => readFileSync(join(dir, 'log'), 'utf8');
  const lines = (): Record<string, unknown>[] => text().trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log: createLog({ fd, ...(level === undefined ? {} : { level }) }), lines, text };
}

it('writes a JSON line at once, with level, time, fields and message', () => {
  const { log, lines } = logTo();
  log.child({ member: 'n1' }).warn({ lsn: '0/1' }, 'it lags');
  log.debug({}, 'not shown');
  expect(lines()).toEqual([{ level: 'warn', time: expect.stringMatching(/^\d{4}-.*Z$/), member: 'n1', lsn: '0/1', msg: 'it lags' }]);
});

it('writes an error with its stack', () => {
  const { log, lines } = logTo();
  log.error({ err: new TypeError('x is undefined') }, 'a step failed');
  expect(lines()[0]?.['err']).toMatchObject({ type: 'TypeError', message: 'x is undefined', stack: expect.stringContaining('log.test') });
});

it('says nothing when silent', () => {
  const { log, text } = logTo('silent');
  log.error({}, 'not shown');
  silentLog().child({ a: 1 }).error({}, 'not shown either');
  expect(text()).toBe('');
});

it('never writes a secret, in a field, a message, an error or a child', () => {
  const { log, lines, text } = logTo();
  log.info({ password: 's3cret', superuser: { user: 'u', password: 's3cret' }, documents: { agent: { password: 's3cret' } } }, 'accounts');
  log.info({ conninfo: 'host=h password=s3cret', setting: { primary_conninfo: "password='s3cret'" } }, 'upstream');
  log.info({}, "connecting with host=h password='s3cret with ''quotes'' and \\' escape' port=1");
  log.info({ url: 'postgresql://u:s3cret@h:1/db' }, 'postgres://u:s3cret@h/db');
  log.error({ err: new Error('could not connect: user=u password=s3cret dbname=d') }, 'failed');
  log.info({ tls: { key: '-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n' } }, 'identity');
  log.child({ secrets: { superuser: 's3cret' } }).info({ argv: ['password = s3cret'] }, 'child');
  expect(text()).not.toContain('s3cret');
  expect(lines().length).toBe(7);
  expect(lines()[2]?.['msg']).toContain('port=1');
});

it('leaves JSON whole whatever a message says', () => {
  for (const message of ["password='open", "password='ends in a backslash \\", 'password="x"', 'password=', "password='\\\\'", 'postgres://u:p"@h']) {
    const line = JSON.stringify({ msg: message, last: true });
    expect(JSON.parse(scrub(line))).toMatchObject({ last: true });
  }
});
