import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
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

  it.each([
    [null, /version undefined/],
    [{ v: 2, kind: 'raft' }, /version 2/],
    [{ v: 1, kind: 'raft', message: { type: 'vote', from: 'a', to: 'b', term: -1, lastIndex: 0, lastTerm: 0, force: true } }, /term/],
    [{ v: 1, kind: 'raft', message: { type: 'timeout-now', from: 'a', to: 'b', term: 1, more: 1 } }, /more/],
  ])('refuses %j', (value, why) => {
    expect(parseEnvelope(value)).toMatchObject({ ok: false, why: expect.stringMatching(why) as unknown });
  });
});
