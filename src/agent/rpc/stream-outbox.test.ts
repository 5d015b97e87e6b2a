import { expect, it } from 'vitest';
import { Outbox } from './stream-outbox.ts';

const taken = (outbox: Outbox, now: number): unknown[] => outbox.take(now).map((text) => JSON.parse(text) as unknown);
const request = { host: 'h1', pid: 1, started: 1, number: 1, reports: [] };

it('keeps the newest of too many messages, in order', () => {
  const outbox = new Outbox();
  for (let n = 1; n <= 300; n += 1) outbox.raft({ n }, 0);
  const items = taken(outbox, 0) as { message: { n: number } }[];
  expect(items.map(({ message }) => message.n)).toEqual(Array.from({ length: 256 }, (_, index) => index + 45));
  expect(outbox.empty).toBe(true);
});

it('keeps one report and one answer, the newest', () => {
  const outbox = new Outbox();
  outbox.report(1, request, 0);
  outbox.report(2, request, 0);
  outbox.ack(7, true, 0);
  outbox.ack(8, false, 0);
  expect(taken(outbox, 0)).toEqual([{ kind: 'report-ack', id: 8, known: false }, { kind: 'report', id: 2, request }]);
});

it('answers on a new connection nothing that was asked on an earlier one', () => {
  const outbox = new Outbox();
  outbox.ack(1, true, 0);
  outbox.raft({ n: 1 }, 0);
  outbox.reconnected();
  expect(taken(outbox, 0)).toEqual([{ kind: 'raft', message: { n: 1 } }]);
});

it('forgets what has waited too long', () => {
  const outbox = new Outbox();
  outbox.raft({ n: 1 }, 0);
  outbox.report(1, request, 0);
  outbox.raft({ n: 2 }, 500);
  expect(taken(outbox, 1_500)).toEqual([{ kind: 'raft', message: { n: 2 } }]);
});

it('ends a frame that is full, and goes on with the next', () => {
  const outbox = new Outbox();
  for (let n = 1; n <= 3; n += 1) outbox.raft({ n, data: 'x'.repeat(200_000) }, 0);
  expect([outbox.take(0).length, outbox.empty, outbox.take(0).length, outbox.empty]).toEqual([2, false, 1, true]);
});
