/**
 * A new member's data on storage of its own: a base backup of its upstream. The slot comes first, so that no WAL after
 * the copy can be lost; the marker last, so that only a whole copy counts.
 */
import { chmod } from 'node:fs/promises';
import { baseBackup, type BaseBackupProgress } from '../../../engine/basebackup/basebackup.ts';
import type { Volume } from '../../../volume/volume.ts';
import type { Member } from '../member.ts';
import { closeRestore } from '../restore.ts';
import { makeSlot } from '../slots.ts';
import type { AttachOrder, AttachTimes } from './attach.ts';

export async function attachByCopy(member: Member, volume: Volume, order: AttachOrder, signal: AbortSignal): Promise<AttachTimes> {
  const { place, environment } = member;
  const { upstream, slot, name } = order.goal;
  await member.prepareHome();
  const session = member.connect(upstream);
  try {
    await makeSlot(session, slot);
  } finally {
    await session.close();
  }
  await volume.createMember(place.dir, member.marker(0, order.term));
  await chmod(place.dir, 0o755);
  member.nowDoing(`waiting for a ${order.checkpoint} checkpoint of ${upstream.member}`);
  const { user, password } = environment.secrets.replication;
  const started = performance.now();
  const { durations } = await baseBackup({
    source: { host: upstream.address, port: upstream.port, user, password, applicationName: `${name} base backup` },
    dir: place.dataDir, owner: environment.user, checkpoint: order.checkpoint, rate: null, wal: false, label: `pgorbit ${slot}`, signal,
    onProgress: (progress) => member.nowDoing(describe(upstream.member, progress, performance.now() - started)),
  });
  await closeRestore(place.homeDir);
  await member.becomeStandby();
  await member.writeMarker(order.incarnation, order.term);
  return { checkpoint: durations.checkpoint, clone: durations.copy + durations.sync };
}

const MB = 1_000_000;

function describe(source: string, { done, total, step }: BaseBackupProgress, ms: number): string {
  if (step === 'checkpoint') return `waiting for a checkpoint of ${source}`;
  if (step === 'sync') return `writing the copy of ${source} through to the disk`;
  const rate = done / Math.max(1, ms / 1000);
  const left = rate > 0 ? Math.ceil((total - done) / rate) : 0;
  return `copying ${source}: ${Math.floor((100 * done) / Math.max(1, total))} % of ${Math.ceil(total / MB)} MB, ${Math.round(rate / MB)} MB/s, ${left} s left`;
}
