import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dataRow, errorResponse, parseDataRow, parseError, parseParameterStatus, parameterStatus, rowDescription } from './backend.ts';
import { Fields, MessageSplitter, cstring, int32, message } from './buffer.ts';
import { parseSaslInitial, parseStartup, query, saslInitial, sslRequest, startup } from './frontend.ts';

const body = (bytes: Buffer): Buffer => bytes.subarray(5);

describe('the splitter', () => {
  it('gives back the messages, however the stream is cut, also out of memory that is used again', () => {
    const memory = Buffer.alloc(40);
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), fc.boolean(), (payloads, cuts, again) => {
      const stream = Buffer.concat([startup({ user: 'u' }), ...payloads.map((payload) => message('d', payload))]);
      const splitter = new MessageSplitter({ untypedFirst: true });
      const found: Buffer[] = [];
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = cuts[i % cuts.length]!;
        const piece = stream.subarray(at, at + size);
        splitter.push(again ? memory.subarray(0, piece.copy(memory)) : piece);
        at += size;
        for (let one = splitter.next(); one; one = splitter.next()) found.push(Buffer.from(one.payload));
        if (again) splitter.own();
      }
      expect(parseStartup(found[0]!)).toEqual({ kind: 'startup', minor: 0, parameters: new Map([['user', 'u']]) });
      expect(found.slice(1)).toEqual(payloads.map((payload) => Buffer.from(payload)));
    }));
  });

  it('refuses lengths that no message has', () => {
    for (const length of [0, 3, -1, 0x7fffffff]) {
      const splitter = new MessageSplitter({ untypedFirst: false });
      splitter.push(Buffer.concat([Buffer.from('d'), int32(length)]));
      expect(() => splitter.next()).toThrow(/protocol violation/);
    }
  });

  it('tells an SSLRequest from a startup packet', () => {
    const splitter = new MessageSplitter({ untypedFirst: true });
    splitter.push(sslRequest());
    expect(parseStartup(splitter.next()!.payload)).toEqual({ kind: 'ssl' });
    splitter.expectUntyped();
    splitter.push(startup({ user: 'a', replication: 'true' }));
    expect(parseStartup(splitter.next()!.payload).kind).toBe('startup');
    splitter.push(query('SHOW x'));
    expect(splitter.next()).toEqual({ type: 'Q', payload: cstring('SHOW x') });
  });
});

describe('messages', () => {
  it('read back what was written', () => {
    expect(parseDataRow(body(dataRow(['a', null, '', Buffer.from('ü')])))).toEqual(['a', null, '', 'ü']);
    expect(parseParameterStatus(body(parameterStatus('server_version', '18.4')))).toEqual({ name: 'server_version', value: '18.4' });
    const error = { severity: 'ERROR', code: '58P01', message: 'gone', detail: 'd', hint: 'h' };
    expect(parseError(body(errorResponse(error)))).toEqual(error);
    expect(parseSaslInitial(body(saslInitial('SCRAM-SHA-256', 'n,,n=,r=x')))).toEqual({ mechanism: 'SCRAM-SHA-256', response: 'n,,n=,r=x' });
  });

  it('describe columns as libpq reads them', () => {
    const fields = new Fields(body(rowDescription([{ name: 'timeline', type: 20 }])));
    expect([fields.int16(), fields.cstring(), fields.int32(), fields.int16(), fields.int32(), fields.int16(), fields.int32(), fields.int16(), fields.left]).toEqual([1, 'timeline', 0, 0, 20, 8, -1, 0, 0]);
  });

  it('that run short are refused', () => {
    expect(() => parseDataRow(Buffer.from([0, 1, 0, 0, 0, 9, 65]))).toThrow(/shorter than its fields/);
    expect(() => parseStartup(Buffer.from([0, 2, 0, 0]))).toThrow(/protocol version 2\.0/);
  });
});
