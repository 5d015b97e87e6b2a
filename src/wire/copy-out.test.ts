import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { message } from './buffer.ts';
import { CopyOutSplitter } from './copy-out.ts';

/** Feeds `stream` in pieces of the given lengths, over and over; every chunk is overwritten after use. */
function feed(stream: Buffer, lengths: number[]): { payloads: string[]; rest: string } {
  const payloads: string[] = [];
  let open: Buffer[] = [];
  const splitter = new CopyOutSplitter((piece, begins, ends) => {
    expect(piece.length).toBeGreaterThan(0);
    expect(begins).toBe(open.length === 0);
    open.push(Buffer.from(piece));
    if (!ends) return;
    payloads.push(Buffer.concat(open).toString('hex'));
    open = [];
  });
  for (let at = 0, n = 0; at < stream.length; n++) {
    const chunk = Buffer.from(stream.subarray(at, at + lengths[n % lengths.length]!));
    at += chunk.length;
    const rest = splitter.push(chunk);
    if (rest !== null) return { payloads, rest: Buffer.concat([rest, stream.subarray(at)]).toString('hex') };
    chunk.fill(0xee);
  }
  return { payloads, rest: '' };
}

it('hands on every payload whole, however the stream is cut, and stops at the first other message', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 10 }), fc.array(fc.integer({ min: 1, max: 23 }), { minLength: 1, maxLength: 5 }), (payloads, lengths) => {
      const end = Buffer.concat([message('c'), message('Z', Buffer.from('I'))]);
      const stream = Buffer.concat([...payloads.map((payload) => message('d', payload)), end]);
      expect(feed(stream, lengths)).toEqual({ payloads: payloads.map((payload) => Buffer.from(payload).toString('hex')), rest: end.toString('hex') });
    }),
  );
});

it('refuses CopyData without anything in it', () => {
  expect(() => feed(message('d'), [100])).toThrow('a CopyData message of 0 bytes');
});
