import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TarReader, parseTarHeader } from './tar.ts';

interface Made {
  name: string;
  type?: string;
  content?: Buffer;
  target?: string;
  size?: string | Buffer;
}

/** A header as tarCreateHeader() makes it. */
function header({ name, type = '0', content = Buffer.alloc(0), target = '', size }: Made): Buffer {
  const block = Buffer.alloc(512);
  block.write(name, 0, 'latin1');
  block.write('0000600 ', 100);
  if (Buffer.isBuffer(size)) size.copy(block, 124);
  else block.write(size ?? `${content.length.toString(8).padStart(11, '0')} `, 124);
  block.write(type, 156);
  block.write(target, 157);
  block.write('ustar\x0000', 257);
  block.fill(0x20, 148, 156);
  block.write(`${block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(7, '0')} `, 148);
  return block;
}

function archive(entries: Made[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const content = entry.content ?? Buffer.alloc(0);
    return [header(entry), content, Buffer.alloc((512 - (content.length % 512)) % 512, 0x78)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

/** Everything that the reader says about `bytes`, fed in pieces of the given lengths, over and over. */
function read(bytes: Buffer, lengths = [bytes.length || 1]): [string, string, string][] {
  const seen: [string, string, string][] = [];
  let present: { path: string; content: Buffer[] } | null = null;
  const reader = new TarReader({
    entry: ({ kind, path, target }) => {
      expect(present).toBe(null);
      if (kind === 'file') present = { path, content: [] };
      else seen.push([kind, path, target]);
    },
    data: (piece) => present!.content.push(Buffer.from(piece)),
    end: () => {
      seen.push(['file', present!.path, Buffer.concat(present!.content).toString('hex')]);
      present = null;
    },
  });
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const chunk = Buffer.from(bytes.subarray(at, at + lengths[n % lengths.length]!));
    reader.push(chunk);
    at += chunk.length;
    chunk.fill(0xee); // the memory is used again
  }
  reader.finish();
  return seen;
}

describe('a tar stream', () => {
  it('is read the same however it is cut', () => {
    const file = fc.record({ name: fc.stringMatching(/^[a-z]{1,20}(\/[0-9]{1,20}){0,3}$/), content: fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes)) });
    fc.assert(
      fc.property(fc.array(file, { maxLength: 5 }), fc.array(fc.integer({ min: 1, max: 1300 }), { minLength: 1, maxLength: 5 }), (files, lengths) => {
        expect(read(archive(files), lengths)).toEqual(files.map(({ name, content }) => ['file', name, content.toString('hex')]));
      }),
    );
  });

  it('has folders, links, empty files, and names with ./ before and / behind', () => {
    const bytes = archive([{ name: './pg_wal/archive_status/', type: '5' }, { name: 'pg_tblspc/16400/', type: '2', target: '/srv/fast' }, { name: 'empty' }]);
    expect(read(bytes)).toEqual([['folder', 'pg_wal/archive_status', ''], ['link', 'pg_tblspc/16400', '/srv/fast'], ['file', 'empty', '']]);
  });

  it.each(['/etc/passwd', '../up', 'base/../../up', 'a//b', './', '..', 'base/.'])('is refused when it names %s', (name) => {
    expect(() => read(archive([{ name }]))).toThrow(/names a file outside its folder/);
  });

  it('is refused when it breaks off, anywhere', () => {
    const whole = archive([{ name: 'a', content: Buffer.from('hello') }]);
    for (const length of [100, 512, 514, 517, 1000, 1024, 1536]) expect(() => read(whole.subarray(0, length)), `${length}`).toThrow('it breaks off');
    expect(() => read(Buffer.alloc(0))).toThrow('it breaks off');
    expect(read(whole)).toHaveLength(1);
  });

  it('is refused when a header is damaged, or more follows its end', () => {
    const whole = archive([{ name: 'a' }]);
    const damaged = Buffer.from(whole);
    damaged[0]! ^= 1;
    expect(() => read(damaged)).toThrow('the checksum of a header is wrong');
    expect(() => read(Buffer.concat([whole, whole]))).toThrow('there is more behind its end');
    expect(() => read(Buffer.concat([Buffer.alloc(511), Buffer.from('x'), whole]))).toThrow('a header is none');
  });

  it('is refused when it has what PostgreSQL does not send', () => {
    expect(() => read(archive([{ name: 'tty', type: '3' }]))).toThrow('of a kind that PostgreSQL does not send');
    expect(() => read(archive([{ name: 'd', type: '5', size: '00000000001 ' }]))).toThrow('is no file and has a size');
  });
});

it('large sizes are in base 256', () => {
  const size = Buffer.alloc(12);
  size[0] = 0x80;
  size.writeBigUInt64BE(20n * 2n ** 30n, 4);
  expect(parseTarHeader(header({ name: 'base/1/2', size })).size).toBe(20 * 2 ** 30);
});
