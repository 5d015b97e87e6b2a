import { describe, expect, it } from 'vitest';
import type { ArchiveStatus } from '../../agent/api.ts';
import { groupStatus, memberStatus, statusDocument } from '../testing/specs.ts';
import { renderFindings } from './doctor.ts';
import { renderEvent } from './events.ts';
import { renderRows } from './rows.ts';
import { renderServerError } from './sql-error.ts';
import { renderStatus } from './status.ts';
import { COLOUR, PLAIN, styleFor } from './style.ts';
import { renderTable } from './table.ts';
import { renderWelcome } from './welcome.ts';
import { displayWidth } from './width.ts';

describe('displayWidth', () => {
  it.each([['abc', 3], ['多行', 4], ['é', 1], ['e\u0301', 1], ['👍', 2], [COLOUR.red('x'), 1]])('of %s', (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });
});

describe('styleFor', () => {
  it('has no colour in a pipe, with NO_COLOR, or on a dumb terminal', () => {
    expect(styleFor({}, {})).toBe(PLAIN);
    expect(styleFor({ isTTY: true }, { NO_COLOR: '1' })).toBe(PLAIN);
    expect(styleFor({ isTTY: true }, { TERM: 'dumb' })).toBe(PLAIN);
    expect(styleFor({ isTTY: true }, { TERM: 'xterm' })).toBe(COLOUR);
  });
});

describe('renderTable', () => {
  it('aligns by what the terminal shows, and leaves out a column that says nothing', () => {
    const table = renderTable(
      [
        { title: 'name', value: (row: { n: string; v: string }) => row.n },
        { title: 'none', value: () => '' },
        { title: 'size', value: (row: { n: string; v: string }) => row.v, align: 'right' },
      ],
      [{ n: COLOUR.bold('n1'), v: '5' }, { n: '多行', v: '1234' }],
    );
    expect(table).toBe(`NAME  SIZE\n${COLOUR.bold('n1')}       5\n多行  1234\n`);
  });
});

describe('renderRows', () => {
  // The expected texts are psql 15's own.
  it('prints as psql does', () => {
    const text = renderRows({ tag: 'SELECT 2', rowCount: 2, fields: [{ name: 'a', dataTypeID: 23 }, { name: 'text', dataTypeID: 25 }], rows: [['1', 'one\ntwo'], ['10', null]] });
    expect(text).toBe(' a  | text \n----+------\n  1 | one +\n    | two\n 10 | \n(2 rows)\n');
  });

  it('prints an empty result and one row', () => {
    const fields = [{ name: '?column?', dataTypeID: 23 }];
    expect(renderRows({ tag: 'SELECT 0', rowCount: 0, fields, rows: [] })).toBe(' ?column? \n----------\n(0 rows)\n');
    expect(renderRows({ tag: 'SELECT 1', rowCount: 1, fields, rows: [['1']] })).toContain('(1 row)');
  });
});

describe('renderServerError', () => {
  it('shows the line and a caret under the place', () => {
    const text = renderServerError({ severity: 'ERROR', code: '42703', message: 'column "x" does not exist', position: '17', hint: 'Perhaps.', detail: 'Some.' }, 'select 1,\n  名, \t x\nfrom t');
    expect(text).toBe('ERROR:  42703:  column "x" does not exist\nLINE 2:   名, \t x\n              \t^\nDETAIL:  Some.\nHINT:  Perhaps.\n');
  });

  it('leaves the place out where there is none', () => {
    expect(renderServerError({ severity: 'NOTICE', code: '00000', message: 'hello' }, '')).toBe('NOTICE:  00000:  hello\n');
  });
});

describe('renderStatus', () => {
  it('shows of two sites which one this is, how the other is, and what is missing', () => {
    const peer = { cluster: 'shop-b', role: 'standby' as const, epoch: 3, contactMs: 20, answers: true, writable: false };
    const site = { role: 'primary' as const, epoch: 3, peer, handOver: null, note: null, groups: [{ name: 'main', lagBytes: 4096, position: null, timeline: null }] };
    const shown = (patch: object): string => renderStatus({ ...statusDocument([]), site: { ...site, ...patch } }, PLAIN);
    expect(shown({})).toContain('Site: primary, epoch 3; the other one is shop-b, standby site, which answers\n  group main: the standby site lacks 4.0 kB\n');
    expect(shown({ handOver: 'done', role: 'standby' })).toContain('  handed over to shop-b, which has not taken it yet\n');
    expect(shown({ note: 'the hand-over was taken back', peer: { ...peer, answers: false, contactMs: 61_000 } })).toMatch(/which does not answer since .*\n {2}the hand-over was taken back\n/);
    expect(renderStatus(statusDocument([]), PLAIN)).not.toContain('Site');
  });

  it('shows roles, lag, what is wrong and the command that mends it', () => {
    const group = groupStatus(
      'main',
      [
        memberStatus('n1', { role: 'primary', state: 'running', pendingRestart: ['shared_buffers'] }),
        memberStatus('n2', { lagBytes: 4096, lagMs: 1200 }),
        memberStatus('n3', { state: 'failed', pid: null, lsn: null, timeline: null, lagBytes: null, lagMs: null, error: { code: 'port-in-use', message: 'port 5435 is in use', hint: 'ss -ltnp' } }),
      ],
      { state: 'degraded', reason: 'n3 is failed' },
    );
    const volume = { name: 'main', driver: 'btrfs' as const, why: 'it is btrfs', path: '/v', bytes: { total: 4 * 1024 ** 3, free: 1024 ** 3, shared: 1024 ** 2, logical: 3 * 1024 ** 2 }, members: [{ name: 'n1', exclusive: 1024 ** 2, logical: 2 * 1024 ** 2 }], warning: 'grow it' };
    const text = renderStatus(statusDocument([group], { volumes: [volume] }), PLAIN);
    expect(text).toContain('Cluster shop: degraded');
    expect(text).toMatch(/n2 +replica +h1 +127\.0\.0\.1:5433 +42 +streaming +1 +0\/3000060 +4\.0 kB, 1\.2 s/);
    expect(text).toContain('! n3: port 5435 is in use\n    ss -ltnp');
    expect(text).toContain('n1 waits for a restart: shared_buffers changed (`pgorbit restart n1`)');
    expect(text).toContain('3.0 GB of 4.0 GB used');
    expect(text).toContain('3.0 MB of data for its members, in 2.0 MB on disk');
    expect(text).toContain('50.0 %');
    expect(text).toContain('! grow it');
  });

  it('shows who votes where commits need a quorum', () => {
    const members = [
      memberStatus('n1', { role: 'primary', state: 'running', voter: true }), memberStatus('n2', { voter: true, synchronous: true }),
      memberStatus('n3', { role: 'logger', lagBytes: 512, lagMs: null }), memberStatus('n4', { role: 'standby' }),
    ];
    const text = renderStatus(statusDocument([groupStatus('main', members, { storage: 'local', commit: 'quorum' })]), PLAIN);
    expect(text).toContain('storage local, commit quorum');
    expect(text.split('\n').map((line) => line.trim().split(/ {2,}/).slice(0, 3)).slice(3, 8)).toEqual([
      ['MEMBER', 'ROLE', 'VOTES'], ['n1', 'primary', 'yes'], ['n2', 'replica (sync)', 'yes'], ['n3', 'logger', 'not yet'], ['n4', 'standby', 'never'],
    ]);
    expect(text).toMatch(/n3 .* 512 B\n/);
    const site = { role: 'standby' as const, epoch: 1, peer: { cluster: 'shop-a', role: 'primary' as const, epoch: 1, contactMs: 20, answers: true, writable: true }, handOver: null, note: null, groups: [] };
    const standby = renderStatus({ ...statusDocument([groupStatus('main', members.slice(1), { commit: 'quorum', primary: null })]), site }, PLAIN);
    expect(standby.split('\n').filter((line) => /^ {2}n\d /.test(line)).map((line) => line.trim().split(/ {2,}/)[2])).toEqual(['no', 'no', 'no']);
    expect(renderStatus(statusDocument([groupStatus('main', members)]), PLAIN)).not.toContain('VOTES');
    expect(renderStatus(statusDocument([groupStatus('main', members, { commit: 'quorum', term: 0 })]), PLAIN)).not.toContain('VOTES');
  });

  it('shows how far WAL is archived, and what keeps it from it', () => {
    const archive: ArchiveStatus = {
      to: '/srv/wal', host: 'h3', pid: 9, state: 'waiting', source: 'n3', timeline: 2, lsn: '0/5000000', segment: '000000020000000000000004', lagBytes: 2048, lagMs: 65_000,
      error: { code: 'volume-full', message: 'there is no room left', hint: 'make room' }, gap: { timeline: 1, from: '0/3000000', to: '0/4000000' },
    };
    const text = renderStatus(statusDocument([groupStatus('main', [memberStatus('n1')], { archive })]), PLAIN);
    expect(text.split('\n').slice(-5)).toEqual([
      '  WAL archive: h3 archives from n3 to /srv/wal, waiting, up to 0/5000000 (000000020000000000000004), behind by 2.0 kB, 1 min 5 s',
      '  ! archive: there is no room left', '    make room',
      '  ! archive: WAL from 0/3000000 to 0/4000000 is missing for good; take a new backup (`pgorbit backup`)', '',
    ]);
    expect(renderStatus(statusDocument([groupStatus('main', [], { archive: { ...archive, host: null, state: 'unknown', source: null, lsn: null, segment: null, lagBytes: null, lagMs: null, error: null, gap: null } })]), PLAIN))
      .toContain('  WAL archive: nobody archives yet, unknown, nothing yet\n');
  });

  it('names agents only while one does not answer', () => {
    const healthy = groupStatus('main', [memberStatus('n1', { role: 'primary', state: 'running' })]);
    expect(renderStatus(statusDocument([healthy]), PLAIN)).not.toContain('agent');
    const lost = statusDocument([healthy], { agents: [{ host: 'h2', address: '10.0.0.2', port: 7400, pid: null, state: 'unreachable', voter: true }] });
    expect(renderStatus(lost, PLAIN)).toContain('the agent of h2 (10.0.0.2:7400) does not answer');
    expect(renderStatus(lost, PLAIN)).toContain('Cluster shop: degraded');
  });
});

describe('renderWelcome', () => {
  it('says how the password is had where it is not shown', () => {
    const status = statusDocument([groupStatus('main', [memberStatus('n1', { role: 'primary' }), memberStatus('n2'), memberStatus('n3')])]);
    const welcome = { status, took: '4 s', uris: [{ group: 'main', rw: 'RW', ro: 'RO' }] };
    expect(renderWelcome({ ...welcome, hidden: true }, PLAIN)).toContain('`pgorbit uri` prints them with the password');
    const shown = renderWelcome({ ...welcome, hidden: false }, PLAIN);
    expect(shown).not.toContain('password');
    expect(shown).toContain('1 primary, 2 replicas');
    expect(shown).toContain('switchover --to n2');
  });

  it('says of a standby site whom it follows, and where writes go', () => {
    const peer = { cluster: 'shop-a', role: 'primary' as const, epoch: 1, contactMs: 20, answers: true, writable: true };
    const site = { role: 'standby' as const, epoch: 1, peer, handOver: null, note: null, groups: [] };
    const status = { ...statusDocument([groupStatus('main', [memberStatus('n1'), memberStatus('n2')], { primary: null })]), site };
    const text = renderWelcome({ status, took: '4 s', uris: [{ group: 'main', rw: null, ro: 'RO' }], hidden: true }, PLAIN);
    expect(text).toContain('  read   RO');
    expect(text).toContain('the standby site of shop-a and follows it');
    expect(text).toContain('Writes go there: `pgorbit uri --cluster shop-a`');
    expect(text).toContain('pgorbit site switchover --cluster shop');
    expect(text).not.toMatch(/ {2}write|hand over the writing|switchover --to/);
    const primary = renderWelcome({ status: { ...status, site: { ...site, role: 'primary' } }, took: '4 s', uris: [{ group: 'main', rw: 'RW', ro: 'RO' }], hidden: true }, PLAIN);
    expect(primary).toContain('  write  RW');
    expect(primary).not.toContain('Writes go there');
  });
});

describe('renderEvent and renderFindings', () => {
  it('marks what is bad', () => {
    const event = { time: 'x', sequence: 1, host: 'h1', group: 'main', member: null, level: 'error' as const, kind: 'primary-lost', message: 'n1 is gone', operation: null };
    expect(renderEvent(event, PLAIN)).toBe('x  h1/main  error: n1 is gone  [primary-lost]\n');
  });

  it('ends with a verdict', () => {
    const ok = { what: 'Node', state: 'ok' as const, found: '20.19' };
    expect(renderFindings([ok], PLAIN)).toContain('Everything pgorbit needs is here.');
    const text = renderFindings([ok, { what: 'disk', state: 'fail', found: 'full', mend: 'rm' }], PLAIN);
    expect(text).toContain('fail  disk  full\n            → rm\n');
    expect(text).toContain('1 thing must be mended');
  });
});
