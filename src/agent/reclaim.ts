/**
 * Closed WAL segments are the same bytes on every member: those of a replica become clones of the primary's. In the
 * background a little at a time, and at once by `pgorbit volume reclaim`.
 */
import { join } from 'node:path';
import type { ClusterView } from './documents.ts';
import type { HostVolumes } from './volumes.ts';
import { readControlFile } from '../engine/control.ts';
import { volumeMemberDir } from '../home.ts';
import { FRESH_MS, type Seen } from '../group/decide/context.ts';
import type { GroupRecord, MemberReport } from '../group/model.ts';
import { volumeOf } from '../group/on-volume.ts';
import { minLsn, parseLsn, segmentName } from '../wal/lsn.ts';

export interface ReclaimInput {
  view: ClusterView;
  volumes: HostVolumes;
  seen: (group: string) => Readonly<Record<string, Seen>>;
  now: () => number;
  /** Bytes a second that may be read; null: as fast as it goes. */
  rate: number | null;
}

export interface Reclaimed {
  segments: number;
  freed: number;
}

export async function reclaimWal(volumeName: string, input: ReclaimInput, signal: AbortSignal): Promise<Reclaimed> {
  const volume = await input.volumes.open(volumeName);
  const total: Reclaimed = { segments: 0, freed: 0 };
  const document = input.view.cluster?.document;
  for (const { record } of input.view.groups.values()) {
    const group = document?.spec.groups[record.group];
    if (document === undefined || group?.volume !== volumeName || record.primary === null) continue;
    const dirOf = (member: string): string => join(volumeMemberDir(volume.path, document.spec.cluster, record.group, member), 'data');
    for (const { member, upTo } of await followers(record, input, dirOf)) {
      // A standby may live elsewhere.
      if (volumeOf(group, record.members[member]!) !== volumeName) continue;
      if (signal.aborted) return total;
      const result = await volume.shareWal(join(dirOf(record.primary), 'pg_wal'), join(dirOf(member), 'pg_wal'), {
        upTo, signal, ...(input.rate === null ? { bytesPerSecond: Infinity } : { bytesPerSecond: input.rate }),
      });
      total.segments += result.segments;
      total.freed += result.freed;
    }
  }
  return total;
}

/** Replicas that stream on the primary's timeline, and the first segment that is not closed on both. */
async function followers(record: GroupRecord, input: ReclaimInput, dirOf: (member: string) => string): Promise<{ member: string; upTo: string }[]> {
  const fresh = (member: string): MemberReport | null => {
    const seen = input.seen(record.group)[member];
    return seen !== undefined && input.now() - seen.at <= FRESH_MS ? seen.report : null;
  };
  const primary = record.primary === null ? null : fresh(record.primary);
  if (record.primary === null || !primary?.lsn || primary.timeline === null) return [];
  const { walSegmentSize } = await readControlFile(dirOf(record.primary));
  const found: { member: string; upTo: string }[] = [];
  for (const member of Object.keys(record.members)) {
    const report = member === record.primary ? null : fresh(member);
    if (report?.state !== 'streaming' || report.timeline !== primary.timeline || !report.received || !report.lsn) continue;
    const closed = minLsn(parseLsn(primary.lsn), minLsn(parseLsn(report.received), parseLsn(report.lsn)));
    found.push({ member, upTo: segmentName(primary.timeline, closed, walSegmentSize) });
  }
  return found;
}
