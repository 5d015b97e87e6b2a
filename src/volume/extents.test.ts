import { expect, test } from 'vitest';
import { extentBytes, parseFilefrag } from './extents.ts';

const OUTPUT = `Filesystem type is: 58465342
File size of /v/a is 3 of b is 16777216 (4096 blocks of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..     199:         24..       223:    200:             shared
   1:      200..     201:        224..       225:      2:            
   2:      202..    4095:       4226..      8119:   3894:        226: last,shared,eof
/v/a is 3 of b: 2 extents found
File size of /v/small is 3 (1 block of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..    4095:          0..      4095:   4096:             last,not_aligned,inline,eof
/v/small: 1 extent found
File size of /v/new is 8192 (2 blocks of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..       1:          0..         0:      2:             last,unknown_loc,delalloc,eof
/v/new: 1 extent found
File size of /v/empty is 0 (0 blocks of 4096 bytes)
/v/empty: 0 extents found
`;

test('reads extents of several files, joining neighbours', () => {
  const read = parseFilefrag(OUTPUT);
  expect([...read.keys()]).toEqual(['/v/a is 3 of b', '/v/small', '/v/new', '/v/empty']);
  expect([...read.get('/v/a is 3 of b')!]).toEqual([24 * 4096, 202 * 4096, 4226 * 4096, 3894 * 4096]);
  expect([...read.get('/v/small')!]).toEqual([-1, 0]);
  expect([...read.get('/v/new')!]).toEqual([-1, 8192]);
  expect(extentBytes(read.get('/v/a is 3 of b')!)).toBe(16_777_216);
});
