/**
 * A new member's data: a clone of its upstream's folder on the shared volume. The slot comes first, so that no WAL
 * after the clone can be lost; then a checkpoint, so that the copy starts quickly; the clone; and last the marker that
 * says the folder is whole.
 */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PgorbitError } from '../../../errors.ts';
import type { SqlSession } from '../../../engine/sql.ts';
import { judgeSpace, readSpace } from '../../../volume/space.ts';
import type { Volume } from '../../../volume/volume.ts';
import type { Goal } from '../../model.ts';
import type { Member } from '../member.ts';
import { closeRestore } from '../restore.ts';
import { makeSlot } from '../slots.ts';

/** A spread checkpoint may take checkpoint_timeout; twice its default. */
const CHECKPOINT_MS = 600_000;

export interface AttachOrder {
  goal: Extract<Goal, { kind: 'follow' }>;
  incarnation: number;
  term: number;
  checkpoint: 'fast' | 'spread';
  /** How fast a copy may read its source, bytes a second, or null. */
  rate: number | null;
}

/** How long each part took, ms. */
export interface AttachTimes {
  checkpoint: number;
  clone: number;
}

export async function attach(member: Member, volume: Volume, order: AttachOrder, signal: AbortSignal): Promise<AttachTimes> {
  const { place } = member;
  if (place.dirOf === null) throw new PgorbitError('internal', 'attach by clone needs a shared volume');
  const space = judgeSpace(await readSpace(volume.path));
  if (space.level === 'refuse' || space.level === 'critical') {
    throw new PgorbitError('volume-full', `the volume ${volume.path} takes no further member: ${space.sentence}`, {
      hint: 'pgorbit volume reclaim, or pgorbit volume grow',
    });
  }
  await member.prepareHome();
  const source = place.dirOf(order.goal.upstream.member);
  const upstream = member.connect(order.goal.upstream);
  const started = performance.now();
  try {
    await makeSlot(upstream, order.goal.slot);
    member.nowDoing(`waiting for a ${order.checkpoint} checkpoint of ${order.goal.upstream.member}`);
    const clone = async (): Promise<number> => {
      const from = performance.now();
      member.nowDoing(`cloning ${order.goal.upstream.member}`);
      const { notes } = await volume.cloneMember(source, place.dir, { signal, marker: member.marker(0, order.term) });
      for (const note of notes) member.tell({ level: 'info', kind: 'clone-note', message: `${place.member}: ${note}` });
      return performance.now() - from;
    };
    let duration: number;
    let label: BackupLabel | null = null;
    if (volume.atomicClone && order.checkpoint === 'fast') {
      await upstream.query('checkpoint', [], { timeoutMs: CHECKPOINT_MS });
      duration = await clone();
    } else {
      // Also the only way to ask for a spread checkpoint and to wait for it.
      ({ label, duration } = await underBackup(upstream, order, clone));
      // A snapshot is one instant of the source: crash recovery makes it whole, from its own pg_control.
      if (volume.atomicClone) label = null;
    }
    await makeStandby(member, label);
    await member.writeMarker(order.incarnation, order.term);
    return { checkpoint: performance.now() - started - duration, clone: duration };
  } finally {
    await upstream.close();
  }
}

interface BackupLabel {
  label: string;
  spcmap: string;
}

/** "Making a Base Backup Using the Low Level API": start and stop in one session, the label goes into the copy alone. */
async function underBackup(upstream: SqlSession, order: AttachOrder, clone: () => Promise<number>): Promise<{ label: BackupLabel; duration: number }> {
  await upstream.query('select pg_backup_start($1, fast => $2)', [`pgorbit ${order.goal.slot}`, order.checkpoint === 'fast'], { timeoutMs: CHECKPOINT_MS });
  const duration = await clone();
  const rows = await upstream.query<BackupLabel>('select labelfile as label, spcmapfile as spcmap from pg_backup_stop(wait_for_archive => false)', [], { timeoutMs: CHECKPOINT_MS });
  const label = rows[0];
  if (label === undefined) throw new PgorbitError('postgres-failed', 'pg_backup_stop returned nothing');
  return { label, duration };
}

/** What the source's folder has for itself goes; what makes a standby comes. */
async function makeStandby(member: Member, backup: BackupLabel | null): Promise<void> {
  const { dataDir, homeDir } = member.place;
  await Promise.all(
    ['postmaster.pid', 'postmaster.opts', 'recovery.signal', 'backup_label', 'tablespace_map'].map((name) => rm(join(dataDir, name), { force: true })),
  );
  await closeRestore(homeDir);
  if (backup !== null) {
    await writeFile(join(dataDir, 'backup_label'), backup.label, { mode: 0o600 });
    if (backup.spcmap !== '') await writeFile(join(dataDir, 'tablespace_map'), backup.spcmap, { mode: 0o600 });
  }
  await member.becomeStandby();
  await member.give(dataDir, ['backup_label', 'tablespace_map']);
}
