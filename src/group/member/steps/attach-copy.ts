/**
 * A new member's data on storage of its own: a base backup of its upstream, or of another member where the WAL is to come
 * from a logger. The slot comes first, so that no WAL after the copy can be lost; the marker last, so that only a whole
 * copy counts.
 */
import { chmod } from 'node:fs/promises';
import { baseBackup, type BaseBackupProgress } from '../../../engine/basebackup/basebackup.ts';
import type { Volume } from '../../../volume/volume.ts';
import type { Member } from '../member.ts';
import { closeRestore } from '../restore.ts';
import type { Endpoint } from '../../model.ts';
import { makeLoggerSlot, makeSlot } from '../slots.ts';
import type { AttachOrder, AttachTimes } from './attach.ts';

export async function attachByCopy(member: Member, volume: Volume, order: AttachOrder, signal: AbortSignal): Promise<AttachTimes> {
  const { place, environment } = member;
  const { upstream, slot, name } = order.goal;
  const source = order.goal.base ?? upstream;
  await member.prepareHome();
  if (order.goal.makesSlot === true) await makeLoggerSlot(upstream, slot, environment.secrets.replication);
  else await makeSlotOn(member, upstream, slot);
  await volume.createMember(place.dir, member.marker(0, order.term));
  await chmod(place.dir, 0o755);
  member.nowDoing(`waiting for a ${order.checkpoint} checkpoint of ${source.member}`);
  const { user, password } = environment.secrets.replication;
  // Another member's data may need WAL from before the slot at the upstream: its last restart point is an old one.
  const wal = source.member !== upstream.member;
  const started = performance.now();
  const { durations } = await baseBackup({
    source: { host: source.address, port: source.port, user, password, applicationName: `${name} base backup` },
    dir: place.dataDir, owner: environment.user, checkpoint: order.checkpoint, rate: order.rate, wal, label: `pgorbit ${slot}`, signal,
    onProgress: (progress) => member.nowDoing(describe(source.member, progress, performance.now() - started)),
  });
  await closeRestore(place.homeDir);
  await member.becomeStandby();
  await member.writeMarker(order.incarnation, order.term);
  return { checkpoint: durations.checkpoint, clone: durations.copy + durations.sync };
}

async function makeSlotOn(member: Member, upstream: Endpoint, slot: string): Promise<void> {
  const session = member.connect(upstream);
  try {
    await makeSlot(session, slot);
  } finally {
    await session.close();
  }
}

const MB = 1024 * 1024;

/** What is being done, in words: bytes, rate and the time that remains. Pure. */
export function describe(source: string, { done, total, step }: BaseBackupProgress, ms: number): string {
  if (step === 'checkpoint') return `waiting for a checkpoint of ${source}`;
  if (step === 'sync') return `writing the copy of ${source} through to the disk`;
  const rate = done / Math.max(1, ms / 1000);
  const left = rate === 0 ? '' : `, ${span(Math.ceil((total - done) / rate))} left`;
  return `copying ${source}: ${Math.floor(done / MB)} of ${Math.ceil(total / MB)} MB (${Math.floor((100 * done) / Math.max(1, total))} %), ${(rate / MB).toFixed(rate < 10 * MB ? 1 : 0)} MB/s${left}`;
}

function span(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
