import { expect, it } from 'vitest';
import { MessageSplitter, message } from '../../wire/buffer.ts';
import { parseSenderMessage, walDataHeader } from '../../wire/replication.ts';
import { Gather } from './gather.ts';

const wal = (start: bigint, text: string): Buffer => message('d', walDataHeader(start, start, 0), Buffer.from(text));

/** What is written of messages that come in these reads, each in memory of its own or all of them in one. */
function written(...reads: Buffer[]): [start: bigint, text: string][] {
  const calls: [bigint, string][] = [];
  const gathered = new Gather((start, data) => calls.push([start, data.toString()]));
  const splitter = new MessageSplitter({ untypedFirst: false });
  for (const read of reads) {
    splitter.push(read);
    for (let next = splitter.next(); next !== null; next = splitter.next()) {
      const got = parseSenderMessage(next.payload);
      if (got.kind === 'wal') gathered.add(got.start, got.data);
    }
  }
  gathered.write();
  gathered.write();
  return calls;
}

it('writes what follows on in one call', () => {
  expect(written(Buffer.concat([wal(10n, 'ab'), wal(12n, 'a long one, longer than any heading'), wal(47n, 'c')]))).toEqual([[10n, 'aba long one, longer than any headingc']]);
  expect(written(wal(10n, 'ab'))).toEqual([[10n, 'ab']]);
  expect(written()).toEqual([]);
});

it('puts nothing together that does not follow on, in its position or in memory', () => {
  expect(written(Buffer.concat([wal(10n, 'ab'), wal(13n, 'c')]))).toEqual([[10n, 'ab'], [13n, 'c']]);
  expect(written(wal(10n, 'ab'), wal(12n, 'c'))).toEqual([[10n, 'ab'], [12n, 'c']]);
  const memory = Buffer.alloc(200, 'x');
  wal(10n, 'ab').copy(memory, 0);
  wal(12n, 'c').copy(memory, 100);
  expect(written(memory.subarray(0, 32), memory.subarray(100, 131))).toEqual([[10n, 'ab'], [12n, 'c']]);
  expect(memory.subarray(32, 100).toString()).toBe('x'.repeat(68));
});

it('leaves alone what of the next message is there already', () => {
  const next = wal(14n, 'efgh');
  const read = Buffer.concat([wal(10n, 'ab'), wal(12n, 'cd'), next.subarray(0, 33)]);
  expect(written(read, next.subarray(33))).toEqual([[10n, 'abcd'], [14n, 'efgh']]);
});
