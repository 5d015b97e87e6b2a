/** What holds where a manifest says nothing. The one place: the loader, the schema and the documentation read it. */
import type { EngineSpec, GroupSpec, MemberSpec, VolumeSpec } from '../group/model.ts';

export const ENGINE: EngineSpec = { kind: 'postgres', version: null, bin: null };

export const VOLUME: Pick<VolumeSpec, 'driver' | 'size'> = { driver: 'auto', size: null };

export const GROUP: Omit<GroupSpec, 'name' | 'volume' | 'settings' | 'members'> = {
  storage: 'shared',
  commit: 'async',
  failover: 'automatic',
  recloneAbove: 0.25,
  checkpoint: 'fast',
  electionTimeoutMs: 2_000,
  electionDelayMs: 0,
  preferredPrimary: null,
  membershipTimeoutMs: 60_000,
  joinLagBytes: 16 * 1024 ** 2,
  electableLagBytes: 16 * 1024 ** 2,
  withoutMajority: 'stop',
  logger: {
    purge: true, purgeEveryMs: 10_000, keepBytes: 1024 ** 3, keepMs: 15 * 60_000, maxBytes: 8 * 1024 ** 3,
    sendTimeoutMs: 60_000, packetBytes: 128 * 1024,
  },
  archive: null,
};

/** Each flush of an unfinished segment writes what is new to a folder, and all of it to an object store. */
export const ARCHIVE = { flushMs: 1_000, objectStoreFlushMs: 10_000 };

export const MEMBER: Pick<MemberSpec, 'role' | 'volume' | 'path' | 'source' | 'rate'> = { role: 'replica', volume: null, path: null, source: null, rate: null };
