import { describe, expect, it } from 'vitest';
import type { Goal } from '../model.ts';
import { configurationOf, type ConfigurationInput } from './configuration.ts';

const follow: Goal = { kind: 'follow', upstream: { member: 'n1', address: '10.0.0.1', port: 5432 }, slot: 'pgorbit_n2', name: 'n2@7' };
const promote: Goal = { kind: 'promote', predecessors: [], acceptLoss: false, synchronousNames: '', timeline: null, catchUp: null, atLeast: null, slots: [] };
const primary: Goal = { kind: 'primary', slots: [], synchronousNames: 'ANY 1 (n2)', change: 0 };

const input = (patch: Partial<ConfigurationInput> = {}): ConfigurationInput => ({
  major: 18, member: 'n2', driver: 'reflink', settings: {}, goal: follow, replication: { user: 'rep', password: "it's\\" }, restoreCommand: '/home/restore.sh', quorum: false, electable: ['pgorbit_n2'], limits: null, ...patch,
});

/** A setting's value as the file has it, the last one counts; null where it has none. */
function setting(text: string, name: string): string | null {
  return text.split('\n').findLast((line) => new RegExp(`^${name}\\s*=`).test(line))?.replace(/^[^=]*=\s*/, '') ?? null;
}

describe('configurationOf', () => {
  it('points a follower at its upstream by its slot', () => {
    const text = configurationOf(input());
    expect(setting(text, 'primary_conninfo')).toMatch(/host=''10.0.0.1'' port=''5432''.*application_name=''n2@7''/);
    expect(setting(text, 'primary_slot_name')).toBe("'pgorbit_n2'");
    expect(setting(text, 'cluster_name')).toBe("'n2'");
  });

  it('lets a member of a quorum group that is not to accept writes acknowledge none', () => {
    for (const goal of [follow, { kind: 'promise' } as const]) expect(setting(configurationOf(input({ quorum: true, goal })), 'synchronous_standby_names')).toBe(`'ANY 1 ("nobody@0")'`);
    expect(setting(configurationOf(input({ quorum: true, goal: { kind: 'create' } })), 'synchronous_standby_names'), 'the first server makes its accounts alone').toBe("''");
    expect(setting(configurationOf(input({ quorum: true, goal: primary })), 'synchronous_standby_names')).toBe("'ANY 1 (n2)'");
    expect(setting(configurationOf(input()), 'synchronous_standby_names')).toBe("''");
  });

  it('has logical slots copied to standbys where there can be some', () => {
    const logical = { settings: { wal_level: 'logical' } };
    expect(setting(configurationOf(input()), 'sync_replication_slots')).toBeNull();
    expect(setting(configurationOf(input({ ...logical, major: 16 })), 'sync_replication_slots')).toBeNull();
    const standby = configurationOf(input({ ...logical, major: 17 }));
    expect(setting(standby, 'sync_replication_slots')).toBe("'on'");
    expect(setting(standby, 'primary_conninfo')).toContain("dbname=''postgres''");
    const awaited = configurationOf(input({ ...logical, goal: { ...primary, slots: ['pgorbit_n2', 'pgorbit_logger'] } }));
    expect(setting(awaited, 'synchronized_standby_slots'), 'no logger, whose slot never holds what a subscriber needs').toBe("'pgorbit_n2'");
  });

  it('gives a primary its synchronous names and no upstream', () => {
    const text = configurationOf(input({ goal: primary }));
    expect(setting(text, 'synchronous_standby_names')).toBe("'ANY 1 (n2)'");
    expect(setting(text, 'primary_conninfo')).toBeNull();
  });

  it('has a restore command whatever the goal, because a change of it at a promotion comes too late', () => {
    for (const goal of [follow, promote, primary]) expect(setting(configurationOf(input({ goal })), 'restore_command')).toBe("'/home/restore.sh'");
  });

  it('lets no reader hold up a promotion', () => {
    const settings = { max_standby_streaming_delay: '-1' };
    expect(setting(configurationOf(input({ settings, goal: promote })), 'max_standby_streaming_delay')).toBe("'0'");
    expect(setting(configurationOf(input({ settings })), 'max_standby_streaming_delay')).toBe("'-1'");
  });

  it('keeps a standby at no less than the limits that its WAL asks for', () => {
    const limits = { maxConnections: 300, maxWorkerProcesses: 8, maxWalSenders: 16, maxPreparedTransactions: 0, maxLocksPerTransaction: 64 } as NonNullable<ConfigurationInput['limits']>;
    expect(setting(configurationOf(input({ settings: { max_connections: '100' }, limits })), 'max_connections')).toBe("'300'");
    expect(setting(configurationOf(input({ settings: { max_connections: '500' }, limits })), 'max_connections')).toBe("'500'");
    expect(setting(configurationOf(input({ settings: { max_connections: '100' } })), 'max_connections')).toBe("'100'");
  });
});
