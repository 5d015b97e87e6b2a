/**
 * Timelines: `.history` files and the questions asked of them. A history file of timeline N has one line for each
 * ancestor, oldest first: its number, where it was left, and why (backend/access/transam/timeline.c).
 */
import { PgorbitError } from '../errors.ts';
import { type Lsn, formatLsn, minLsn, parseLsn } from './lsn.ts';

export interface HistoryEntry {
  timeline: number;
  /** Where this timeline was left: the first position that belongs to the next one. */
  switchpoint: Lsn;
  reason: string;
}

export interface TimelineHistory {
  timeline: number;
  /** Oldest first; empty for a timeline that began with initdb. */
  parents: HistoryEntry[];
}

/** A position on a timeline. */
export interface WalPoint {
  timeline: number;
  lsn: Lsn;
}

export function historyFileName(timeline: number): string {
  return `${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`;
}

/** The timeline whose history file has this name, or null. */
export function parseHistoryFileName(name: string): number | null {
  const match = /^([0-9A-F]{8})\.history$/.exec(name);
  const timeline = match ? Number.parseInt(match[1]!, 16) : 0;
  return timeline === 0 ? null : timeline;
}

const LINE = /^(\d+)\s+([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(?:\s+(.*))?$/;

/**
 * Reads a history file as readTimeLineHistory() does. `where` names the file in errors.
 * Throws PgorbitError `wal-invalid` that names the line.
 */
export function parseHistory(timeline: number, text: string, where = historyFileName(timeline)): TimelineHistory {
  const parents: HistoryEntry[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const refuse = (why: string): never => {
      throw new PgorbitError('wal-invalid', `${where}, line ${index + 1}: ${why}: "${line}"`, {
        hint: 'copy the file again from the node that made it; PostgreSQL writes it at promotion',
      });
    };
    const match = LINE.exec(line);
    if (!match) return refuse('expected a timeline number, a WAL position and a reason');
    const parent = Number(match[1]);
    const before = parents.at(-1);
    if (parent === 0 || parent > 0xffff_ffff) refuse('not a timeline number');
    if (parent >= timeline) refuse(`a parent's number must be less than ${timeline}`);
    if (before && parent <= before.timeline) refuse('timeline numbers must increase');
    const switchpoint = parseLsn(match[2]!);
    if (before && switchpoint < before.switchpoint) refuse('switch points must not go backwards');
    parents.push({ timeline: parent, switchpoint, reason: match[3] ?? '' });
  }
  return { timeline, parents };
}

/** Writes a history file, byte for byte as writeTimeLineHistory() does. */
export function formatHistory(history: TimelineHistory): string {
  return history.parents.map((entry) => `${entry.timeline}\t${formatLsn(entry.switchpoint)}\t${entry.reason}\n`).join('\n');
}

/** All timelines of the history, oldest first, with where each begins (0 for the first) and ends (null: goes on). */
export function timelineSpans(history: TimelineHistory): { timeline: number; begin: Lsn; end: Lsn | null }[] {
  let begin: Lsn = 0n;
  const spans: { timeline: number; begin: Lsn; end: Lsn | null }[] = [];
  for (const parent of history.parents) {
    spans.push({ timeline: parent.timeline, begin, end: parent.switchpoint });
    begin = parent.switchpoint;
  }
  spans.push({ timeline: history.timeline, begin, end: null });
  return spans;
}

/** The timeline that the byte at `lsn` belongs to (tliOfPointInHistory). */
export function timelineAt(history: TimelineHistory, lsn: Lsn): number {
  return history.parents.find((parent) => lsn < parent.switchpoint)?.timeline ?? history.timeline;
}

/** Where `timeline` was left on the way to this history's own timeline; null for the own one and for strangers. */
export function switchpointOf(history: TimelineHistory, timeline: number): Lsn | null {
  return history.parents.find((parent) => parent.timeline === timeline)?.switchpoint ?? null;
}

/**
 * True when a member that has WAL up to `point` can follow this history without rewinding: its timeline is an
 * ancestor (or the same), and it has not gone past where that timeline was left.
 */
export function isAncestor(history: TimelineHistory, point: WalPoint): boolean {
  if (point.timeline === history.timeline) return true;
  const left = switchpointOf(history, point.timeline);
  return left !== null && point.lsn <= left;
}

/**
 * The last position that two histories share: null when not even their first timeline is the same. On the same
 * timeline the fork has not happened yet, and `lsn` is null: nothing tells them apart.
 */
export function forkPoint(a: TimelineHistory, b: TimelineHistory): { timeline: number; lsn: Lsn | null } | null {
  const left = timelineSpans(a);
  const right = timelineSpans(b);
  let common: { timeline: number; lsn: Lsn | null } | null = null;
  for (const [index, mine] of left.entries()) {
    const theirs = right[index];
    if (!theirs || theirs.timeline !== mine.timeline || theirs.begin !== mine.begin) break;
    const lsn = mine.end === null ? theirs.end : theirs.end === null ? mine.end : minLsn(mine.end, theirs.end);
    common = { timeline: mine.timeline, lsn };
  }
  return common;
}
