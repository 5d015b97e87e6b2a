import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SqlSession } from '../../engine/sql.ts';
import type { SecretsDocument } from '../../group/model.ts';
import { TestPostgres, VERSIONS } from '../../wal/testing/postgres.ts';
import { settleCopy } from './settle.ts';

const account = (user: string): SecretsDocument['agent'] => ({ user, password: `${user}-new` });
const SECRETS: SecretsDocument = { superuser: account('postgres'), agent: account('pgorbit_agent'), replication: account('pgorbit_replication'), monitor: account('pgorbit_monitor') };

describe.each(Object.keys(VERSIONS).map(Number))('PostgreSQL %i', (version) => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await TestPostgres.create(version, { settings: { max_logical_replication_workers: 0 } });
  });
  afterAll(() => server.destroy());

  it('gives the accounts new passwords, and disables subscriptions in every database', async () => {
    await server.value("create role pgorbit_agent superuser login password 'old'");
    await server.value('create database "other db"');
    const connect = (database: string): SqlSession => new SqlSession({ host: '127.0.0.1', port: server.port, user: 'postgres', password: '', database });
    const other = connect('other db');
    await other.query(`create subscription "s""1" connection 'host=127.0.0.1 port=1' publication p with (connect = false)`);
    await other.query('alter subscription "s""1" enable');
    await other.close();
    const before = await server.value("select rolpassword from pg_authid where rolname = 'pgorbit_agent'");

    expect(await settleCopy(connect, SECRETS)).toEqual(['other db.s"1']);
    expect(await server.value('select bool_or(subenabled) from pg_subscription')).toBe('false');
    expect(await server.value("select rolpassword from pg_authid where rolname = 'pgorbit_agent'")).not.toBe(before);
    expect(await server.value("select count(*) from pg_authid where rolname in ('postgres', 'pgorbit_replication', 'pgorbit_monitor') and rolpassword is not null")).toBe('3');
    expect(await settleCopy(connect, SECRETS)).toEqual([]);
  });
});
