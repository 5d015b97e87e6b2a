/**
 * The history of the timeline that a restore begins. PostgreSQL writes that it parts from the timeline which recovery was
 * told to follow (writeTimeLineHistory() with recoveryTargetTLI), also where recovery stopped before that one began: then
 * switch points go backwards, and nobody can tell by them which timeline a position belongs to.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../../engine/files.ts';
import { PgorbitError } from '../../errors.ts';
import { type TimelineHistory, formatHistory, historyFileName, timelineAt } from '../../wal/history.ts';
import { parseLsn } from '../../wal/lsn.ts';

/** The history of `timeline` as it is in truth: it parts from whichever timeline of `followed` held the position. Pure. */
export function straightened(timeline: number, text: string, followed: TimelineHistory): TimelineHistory {
  const line = text.split('\n').findLast((one) => one.trim() !== '' && !one.trim().startsWith('#'));
  const match = /^\s*\d+\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)(?:\s+(.*))?$/.exec(line ?? '');
  if (match === null) throw new PgorbitError('wal-invalid', `${historyFileName(timeline)} does not say where the timeline begins`);
  const switchpoint = parseLsn(match[1]!);
  const parent = timelineAt(followed, switchpoint - 1n);
  return { timeline, parents: [...followed.parents.filter((one) => one.timeline < parent), { timeline: parent, switchpoint, reason: match[2] ?? '' }] };
}

/** Writes it so into the data directory of a server that is stopped. */
export async function straightenHistory(dataDir: string, timeline: number, followed: TimelineHistory): Promise<void> {
  const file = join(dataDir, 'pg_wal', historyFileName(timeline));
  const text = await readFile(file, 'utf8');
  const right = formatHistory(straightened(timeline, text, followed));
  if (right !== text) await replaceFile(file, right);
}
