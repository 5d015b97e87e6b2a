/** What holds where a manifest says nothing. The one place: the loader, the schema and the documentation read it. */
import type { EngineSpec, GroupSpec, MemberSpec, VolumeSpec } from '../group/model.ts';

export const ENGINE: EngineSpec = { kind: 'postgres', version: null, bin: null };

export const VOLUME: Pick<VolumeSpec, 'driver' | 'size'> = { driver: 'auto', size: null };

export const GROUP: Pick<GroupSpec, 'storage' | 'commit' | 'failover' | 'recloneAbove' | 'checkpoint'> = {
  storage: 'shared',
  commit: 'async',
  failover: 'automatic',
  recloneAbove: 0.25,
  checkpoint: 'fast',
};

export const MEMBER: Pick<MemberSpec, 'role'> = { role: 'replica' };
