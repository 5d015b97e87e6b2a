import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Message } from './core/types.ts';
import { asWire, envelope, parseEnvelope, WIRE_VERSION } from './wire.ts';

/** One line a version, for ever: agents of neighbouring versions talk to each other during an upgrade. */
const PINNED: Record<number, string> = {
  1: '91d164fc570de5fe96180f013fb6802a',
};

describe('the wire format', () => {
  it('has the shape that its version is pinned to', () => {
    const hash = createHash('sha256').update(JSON.stringify(z.toJSONSchema(envelope, { unrepresentable: 'any' }))).digest('hex');
    expect(hash.slice(0, 32)).toBe(PINNED[WIRE_VERSION]);
  });

  it('takes what the core sends, through JSON', () => {
    const message = asWire({ from: 'a', to: 'b', term: 3, type: 'heartbeat', commit: 2, at: 9, round: 1 });
    expect(parseEnvelope(JSON.parse(JSON.stringify(message)))).toEqual({ ok: true, envelope: message });
  });

  const header = { from: 'a', to: 'b', term: 3 };
  const frequent: Message[] = [
    { ...header, type: 'heartbeat', commit: 2, at: 9, round: 1 },
    { ...header, type: 'heartbeat-reply', at: 9, round: 1 },
    { ...header, type: 'append', prevIndex: 4, prevTerm: 2, entries: [], commit: 2, at: 9 },
    { ...header, type: 'append', prevIndex: 4, prevTerm: 2, entries: [{ index: 5, term: 3, kind: 'data', data: 'x' }], commit: 2, at: 9 },
    { ...header, type: 'append-reply', index: 4, reject: false, hintIndex: 0, hintTerm: 0, at: 9 },
  ];

  /** Every field of the message replaced by each of these, or left out, and one more: the short check must agree with the schema. */
  it.each(frequent)('takes or refuses as the schema does: $type', (message) => {
    const odd = [undefined, null, -1, 0.5, 2 ** 53, '1', true, {}, [], [1], NaN, 0, 'a', 'heartbeat', 'append'];
    const variants: unknown[] = [asWire(message), { ...asWire(message), more: 1 }, asWire({ ...message, more: 1 } as never), { ...asWire(message), kind: 'ask' }];
    for (const field of Object.keys(message)) {
      for (const value of odd) variants.push(asWire({ ...message, [field]: value } as never));
      variants.push(asWire(Object.fromEntries(Object.entries(message).filter(([name]) => name !== field)) as never));
    }
    for (const variant of variants) expect([variant, parseEnvelope(variant).ok]).toEqual([variant, envelope.safeParse(variant).success]);
    expect(parseEnvelope(asWire(message))).toEqual({ ok: true, envelope: asWire(message) });
  });

  it.each([
    [null, /version undefined/],
    [{ v: 2, kind: 'raft' }, /version 2/],
    [{ v: 1, kind: 'raft', message: { type: 'vote', from: 'a', to: 'b', term: -1, lastIndex: 0, lastTerm: 0, force: true } }, /term/],
    [{ v: 1, kind: 'raft', message: { type: 'timeout-now', from: 'a', to: 'b', term: 1, more: 1 } }, /more/],
  ])('refuses %j', (value, why) => {
    expect(parseEnvelope(value)).toMatchObject({ ok: false, why: expect.stringMatching(why) as unknown });
  });
});
