/** gap.json beside the archived WAL: what nobody had any more when the archive went on behind it. */
import type { ArchiveGap } from '../../group/model.ts';
import { parseLsn } from '../../wal/lsn.ts';
import type { SystemFolder } from '../repository.ts';
import { newestBackupEnd } from './archiver.ts';

const FILE = 'gap.json';

export async function writeGap(system: SystemFolder, gap: ArchiveGap): Promise<void> {
  await system.store.put(system.key(FILE), Buffer.from(`${JSON.stringify(gap)}\n`));
}

/** The newest gap, unless there is a backup that ends behind it: that one needs nothing of it. */
export async function readGap(system: SystemFolder): Promise<ArchiveGap | null> {
  const text = await system.store.get(system.key(FILE));
  if (text === null) return null;
  const gap = JSON.parse(text.toString('utf8')) as ArchiveGap;
  const backup = await newestBackupEnd(system);
  return backup !== null && backup.timeline >= gap.timeline && backup.lsn >= parseLsn(gap.to) ? null : gap;
}
