import { describe, expect, it } from 'vitest';
import { libpqEnvironment } from './libpq.ts';
import { answering, endpointUri, memberUri, withoutPassword, type Place } from './uri.ts';

const account = { user: 'postgres', password: 'p@:/ß' };
const options = { account, database: 'my db' };
const place = (name: string, role: string, port: number, address = '127.0.0.1'): Place => ({ name, role, address, port });
const members = [place('n1', 'replica', 5433), place('n2', 'primary', 5434), place('n3', 'replica', 5435), place('n4', 'replica', 0)];
const login = 'postgresql://postgres:p%40%3A%2F%C3%9F@';

describe('uri', () => {
  it('names one member, quoted as a URI needs it', () => {
    expect(memberUri(place('n1', 'primary', 5433), options)).toBe(`${login}127.0.0.1:5433/my%20db`);
    expect(memberUri(place('n1', 'primary', 5433, '::1'), options)).toBe(`${login}[::1]:5433/my%20db`);
  });

  it('names every member that has a port, the likeliest first', () => {
    expect(endpointUri('rw', members, options)).toBe(`${login}127.0.0.1:5434,127.0.0.1:5433,127.0.0.1:5435/my%20db?target_session_attrs=read-write`);
    expect(endpointUri('ro', members, options)).toBe(`${login}127.0.0.1:5433,127.0.0.1:5435,127.0.0.1:5434/my%20db?target_session_attrs=prefer-standby`);
  });

  it('writes load_balance_hosts, an error to libpq before 16, only when asked', () => {
    expect(endpointUri('ro', members, options)).not.toContain('load_balance_hosts');
    expect(endpointUri('ro', members, { ...options, balance: true })).toContain('&load_balance_hosts=random');
  });

  it('needs no parameter for one host', () => {
    expect(endpointUri('ro', [place('n1', 'primary', 5433)], options)).toBe(`${login}127.0.0.1:5433/my%20db`);
  });

  it('refuses split and a group without data', () => {
    expect(() => endpointUri('split', members, options)).toThrow('router');
    expect(() => endpointUri('rw', [], options)).toThrow('no member with data');
  });

  it('hides the password', () => {
    expect(withoutPassword(endpointUri('rw', members, options))).toMatch(/^postgresql:\/\/postgres@127/);
  });

  it('leaves loggers out, and refuses one that is named', () => {
    const logger = place('n5', 'logger', 5436);
    expect(endpointUri('ro', [...members, logger], options)).not.toContain('5436');
    expect(libpqEnvironment([...members.slice(0, 2), logger], account, {})['PGPORT']).toBe('5434,5433');
    expect(() => answering(logger)).toThrow('n5 is a logger: it stores WAL and answers no SQL');
    expect(answering(members[0]!)).toBe(members[0]);
  });

  it('gives libpq the same by its environment, and drops what would lead elsewhere', () => {
    const env = libpqEnvironment(members.slice(0, 2), account, { PATH: '/bin', PGHOST: 'else', PGSERVICE: 'else', PGOPTIONS: '-c x=1' });
    expect(env).toEqual({ PATH: '/bin', PGOPTIONS: '-c x=1', PGHOST: '127.0.0.1,127.0.0.1', PGPORT: '5434,5433', PGUSER: 'postgres', PGPASSWORD: 'p@:/ß', PGDATABASE: 'postgres', PGTARGETSESSIONATTRS: 'read-write' });
  });
});
