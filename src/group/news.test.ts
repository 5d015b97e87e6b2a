import { expect, it } from 'vitest';
import type { GroupRecord, MemberReport } from './model.ts';
import { memberRecord } from './testing/build.ts';
import { isMeant, newsOf } from './news.ts';

const report = (patch: Partial<MemberReport>): MemberReport => ({ group: 'main', member: 'n2', state: 'streaming', heardMs: 100, ...patch }) as MemberReport;

it('takes a silence for news only once it is long, and then every time', () => {
  expect(newsOf(report({ heardMs: 1_900 }))).toBe(newsOf(report({ heardMs: null })));
  expect(newsOf(report({ heardMs: 2_000 }))).not.toBe(newsOf(report({ heardMs: 1_999 })));
  expect(newsOf(report({ heardMs: 2_050 }))).not.toBe(newsOf(report({ heardMs: 2_000 })));
  expect(newsOf(report({ lsn: '0/2' }))).not.toBe(newsOf(report({ lsn: '0/1' })));
});

it('means the member that the record places where the report comes from, or nobody else', () => {
  const record = { members: { n2: memberRecord('n2', { host: 'h2' }) } } as unknown as GroupRecord;
  expect(isMeant(record, { member: 'n2', host: 'h2' })).toBe(true);
  expect(isMeant(record, { member: 'n2', host: 'h1' })).toBe(false);
  expect(isMeant(record, { member: 'n3', host: 'h1' })).toBe(true);
  expect(isMeant(undefined, { member: 'n2', host: 'h1' })).toBe(true);
});
