import { expect, it } from 'vitest';
import { FRAME_LIMIT, frameOf, FrameReader } from './stream-frames.ts';

const bytes = Buffer.concat([frameOf(['1', '"ü"']), frameOf([]), frameOf(['{"a":[]}'])]);

it.each([1, 2, 3, 5, 7, bytes.length])('reads frames that come in pieces of %i bytes', (size) => {
  const reader = new FrameReader();
  const values: unknown[] = [];
  for (let at = 0; at < bytes.length; at += size) values.push(...reader.push(bytes.subarray(at, at + size)));
  expect(values).toEqual([[1, 'ü'], [], [{ a: [] }]]);
});

it('refuses a frame that is too large before it has come', () => {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(FRAME_LIMIT + 1);
  expect(() => new FrameReader().push(header)).toThrow(/larger/);
});

it('refuses what is no JSON', () => {
  expect(() => new FrameReader().push(Buffer.from([0, 0, 0, 1, 0x5b]))).toThrow(/JSON/);
});
