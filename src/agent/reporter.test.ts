import { afterEach, expect, it, vi } from 'vitest';
import { Lifecycle } from '../lifecycle.ts';
import { silentLog } from '../observe/log.ts';
import { Reporter, type ReportRequest } from './reporter.ts';

let life: Lifecycle;
afterEach(() => life.stop());

interface Fixture {
  reporter: Reporter;
  sent: { id: number; request: ReportRequest }[];
  warned: string[];
  now: number;
  /** A member here needs the lease. */
  leases: boolean;
}

function reporting(): Fixture {
  const fixture: Fixture = { sent: [], warned: [], now: 0, leases: false, reporter: undefined as never };
  fixture.reporter = new Reporter({
    host: 'h1', reports: () => [], leases: () => fixture.leases, send: (id, request) => void fixture.sent.push({ id, request }), now: () => fixture.now,
    log: { ...silentLog(), warn: (_fields, message) => void fixture.warned.push(message), info: (_fields, message) => void fixture.warned.push(message) },
  });
  life = new Lifecycle((error) => {
    throw error;
  });
  fixture.reporter.start(life);
  return fixture;
}

const until = (what: () => void): Promise<void> => vi.waitFor(what, { timeout: 10_000, interval: 5 });
const next = async (fixture: Fixture): Promise<number> => {
  const before = fixture.sent.length;
  fixture.reporter.soon();
  await until(() => expect(fixture.sent.length).toBe(before + 1));
  return fixture.sent.at(-1)!.id;
};

it('knows since when a leader knows of this host: since the report was written, not since it was answered', async () => {
  const fixture = reporting();
  expect(fixture.sent).toEqual([{ id: 1, request: { host: 'h1', pid: process.pid, started: expect.any(Number), number: 1, reports: [] } }]);
  expect(fixture.reporter.takenMsAgo()).toBe(Infinity);
  fixture.now = 100;
  const second = await next(fixture);
  fixture.now = 150;
  await next(fixture);
  fixture.now = 400;
  fixture.reporter.answered(second, true);
  expect(fixture.reporter.takenMsAgo()).toBe(300);
  // An answer that nobody asked for, and one that comes late, say nothing.
  fixture.reporter.answered(99, true);
  fixture.reporter.answered(1, true);
  expect(fixture.reporter.takenMsAgo()).toBe(300);
});

it('tries again soon when its report was not taken', async () => {
  const fixture = reporting();
  fixture.reporter.answered(1, false);
  await until(() => expect(fixture.sent).toHaveLength(2));
  expect(fixture.reporter.takenMsAgo()).toBe(Infinity);
});

it('says once that nobody takes its reports, and that somebody does again', async () => {
  const fixture = reporting();
  fixture.now = 1_000;
  await next(fixture);
  expect(fixture.warned).toEqual([]);
  fixture.now = 2_500;
  await next(fixture);
  fixture.now = 9_000;
  const last = await next(fixture);
  expect(fixture.warned).toEqual(['the deciding agent does not take reports, or there is none']);
  fixture.reporter.answered(last, true);
  expect(fixture.warned[1]).toBe('the deciding agent answers again');
});

it('reports along with what leaves for the leader when a report would be due soon, but not where a lease depends on it', () => {
  const fixture = reporting();
  fixture.now = 600;
  fixture.reporter.along();
  expect(fixture.sent).toHaveLength(1);
  fixture.now = 800;
  fixture.leases = true;
  fixture.reporter.along();
  expect(fixture.sent).toHaveLength(1);
  fixture.leases = false;
  fixture.reporter.along();
  fixture.reporter.along();
  expect(fixture.sent.map(({ id }) => id)).toEqual([1, 2]);
});
