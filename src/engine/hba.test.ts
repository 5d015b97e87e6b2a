import { expect, test } from 'vitest';
import { hbaAddress, renderHba } from './hba.ts';

test('members may replicate, clients may not, everyone needs SCRAM', () => {
  const text = renderHba({ replicationUser: 'repl', memberAddresses: ['10.0.0.2', '127.0.0.1', 'fd00::2', '10.0.0.2', 'db1.example.org'], clients: ['samenet', '192.168.0.0/16'] });
  const rows = text.trim().split('\n').slice(1).map((line) => line.split('\t'));
  expect(rows).toEqual([
    ['local', 'replication', 'repl', 'scram-sha-256'],
    ['local', 'all', 'all', 'scram-sha-256'],
    ...['127.0.0.1/32', '::1/128', '10.0.0.2/32', 'db1.example.org', 'fd00::2/128'].flatMap((address) => [
      ['host', 'replication', 'repl', address, 'scram-sha-256'],
      ['host', 'all', 'all', address, 'scram-sha-256'],
    ]),
    ['host', 'all', 'all', 'samenet', 'scram-sha-256'],
    ['host', 'all', 'all', '192.168.0.0/16', 'scram-sha-256'],
  ]);
});

test('names that would be read as something else are quoted', () => {
  expect(renderHba({ replicationUser: 'all', memberAddresses: [], clients: [] })).toContain('local\treplication\t"all"\t');
  expect(renderHba({ replicationUser: 'a b', memberAddresses: [], clients: [] })).toContain('\t"a b"\t');
  expect(hbaAddress('a b')).toBe('"a b"');
});
