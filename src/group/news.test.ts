import { expect, it } from 'vitest';
import type { MemberReport } from './model.ts';
import { newsOf } from './news.ts';

const report = (patch: Partial<MemberReport>): MemberReport => ({ group: 'main', member: 'n2', state: 'streaming', heardMs: 100, ...patch }) as MemberReport;

it('takes a silence for news only once it is long, and then every time', () => {
  expect(newsOf(report({ heardMs: 1_900 }))).toBe(newsOf(report({ heardMs: null })));
  expect(newsOf(report({ heardMs: 2_000 }))).not.toBe(newsOf(report({ heardMs: 1_999 })));
  expect(newsOf(report({ heardMs: 2_050 }))).not.toBe(newsOf(report({ heardMs: 2_000 })));
  expect(newsOf(report({ lsn: '0/2' }))).not.toBe(newsOf(report({ lsn: '0/1' })));
});
