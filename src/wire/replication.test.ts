import { describe, expect, it } from 'vitest';
import { MessageSplitter } from './buffer.ts';
import { keepalive, parseReceiverMessage, parseReplicationCommand, parseSenderMessage, StatusMessage, walDataHeader } from './replication.ts';

describe('replication commands', () => {
  it.each([
    ['IDENTIFY_SYSTEM', { kind: 'identify-system' }],
    ['identify_system;', { kind: 'identify-system' }],
    ['SHOW wal_segment_size', { kind: 'show', name: 'wal_segment_size' }],
    ['SHOW "Data_Directory_Mode"', { kind: 'show', name: 'Data_Directory_Mode' }],
    ['TIMELINE_HISTORY 4294967295', { kind: 'timeline-history', timeline: 4294967295 }],
    ['START_REPLICATION 0/3000000 TIMELINE 2', { kind: 'start-physical', slot: null, lsn: 0x3000000n, timeline: 2 }],
    ['START_REPLICATION SLOT "n2" A/FF TIMELINE 1', { kind: 'start-physical', slot: 'n2', lsn: 0xa000000ffn, timeline: 1 }],
    ['START_REPLICATION SLOT n2 PHYSICAL 0/0', { kind: 'start-physical', slot: 'n2', lsn: 0n, timeline: null }],
    ['READ_REPLICATION_SLOT s1', { kind: 'read-slot', slot: 's1' }],
    ['CREATE_REPLICATION_SLOT "s1" PHYSICAL', { kind: 'create-slot', slot: 's1', temporary: false, reserveWal: false }],
    ['CREATE_REPLICATION_SLOT "pg_walreceiver_7" TEMPORARY PHYSICAL RESERVE_WAL', { kind: 'create-slot', slot: 'pg_walreceiver_7', temporary: true, reserveWal: true }],
    ['CREATE_REPLICATION_SLOT s PHYSICAL (RESERVE_WAL)', { kind: 'create-slot', slot: 's', temporary: false, reserveWal: true }],
    ['CREATE_REPLICATION_SLOT s PHYSICAL (RESERVE_WAL false)', { kind: 'create-slot', slot: 's', temporary: false, reserveWal: false }],
    ['DROP_REPLICATION_SLOT s WAIT', { kind: 'drop-slot', slot: 's', wait: true }],
  ])('reads %s', (text, command) => {
    expect(parseReplicationCommand(text)).toEqual(command);
  });

  it.each([
    'SELECT 1', '', ';', 'IDENTIFY_SYSTEM now', 'TIMELINE_HISTORY 0', 'TIMELINE_HISTORY', 'START_REPLICATION 0/0 TIMELINE x', 'START_REPLICATION SLOT s LOGICAL 0/0 (proto_version \'1\')',
    'CREATE_REPLICATION_SLOT s LOGICAL pgoutput', 'BASE_BACKUP', 'START_REPLICATION "', '"IDENTIFY_SYSTEM"',
  ])('leaves %j to others', (text) => {
    expect(parseReplicationCommand(text)).toEqual({ kind: 'other', text });
  });
});

describe('replication messages', () => {
  it('read back what was written', () => {
    const wal = Buffer.concat([walDataHeader(5n, 9n, 0), Buffer.from('abcd')]);
    expect(parseSenderMessage(wal)).toEqual({ kind: 'wal', start: 5n, walEnd: 9n, data: Buffer.from('abcd') });
    expect(parseSenderMessage(keepalive(7n, 0, true))).toEqual({ kind: 'keepalive', walEnd: 7n, replyRequested: true });
    const status = { write: 3n, flush: 2n, apply: 0n, replyRequested: true };
    const splitter = new MessageSplitter({ untypedFirst: false });
    const message = new StatusMessage();
    for (const one of [status, { write: 5n, flush: 5n, apply: 1n, replyRequested: false }]) {
      splitter.push(message.encode(one, 0));
      const { type, payload } = splitter.next()!;
      expect([type, parseReceiverMessage(payload)]).toEqual(['d', one]);
    }
    expect(parseReceiverMessage(Buffer.from('h'))).toBeNull();
  });

  it('carry times as microseconds since 2000', () => {
    expect(keepalive(0n, Date.UTC(2000, 0, 1, 0, 0, 1), false).readBigInt64BE(9)).toBe(1_000_000n);
  });

  it('that are unknown are refused', () => {
    expect(() => parseSenderMessage(Buffer.from('z'))).toThrow(/unknown replication message/);
    expect(() => parseReceiverMessage(Buffer.from('r'))).toThrow(/wrong length/);
  });
});
