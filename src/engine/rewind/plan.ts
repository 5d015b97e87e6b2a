/** What a rewind does with each file: a pure function of both sides' lists and of the blocks that WAL changed. */
import { PgorbitError } from '../../errors.ts';
import type { Changes } from './changes.ts';
import { BLOCK, SEGMENT_BLOCKS, isExcluded, isRelationFile, isTargetsOwn, segmentOf } from './paths.ts';

/** Files and folders by path below the data directory; the size of a file in bytes, null for a folder. */
export type Listing = ReadonlyMap<string, number | null>;

export interface Range {
  path: string;
  offset: number;
  length: number;
}

/** To be done in the order of the fields. */
export interface RewindPlan {
  /** To make, parents first. */
  folders: string[];
  /** To copy whole. `size` is what the source had when it was listed. */
  copies: { path: string; size: number }[];
  /** Parts of relation files to copy: by file, then by offset. */
  ranges: Range[];
  truncations: { path: string; size: number }[];
  /** Children first. */
  removals: { path: string; folder: boolean }[];
  /** Bytes to fetch from the source. */
  bytes: number;
  /** Files that change, appear or go. */
  files: number;
}

/**
 * Decides as pg_rewind does (filemap.c, decide_file_action): what only one side has is copied or removed; relation
 * files get the tail that they lack, or lose what they have more, and the changed blocks that both sides have; all
 * else is copied whole. A block beyond the source's end needs nothing, nor does one that comes with the tail. Unlike
 * pg_rewind, all blocks beyond where the target once cut a relation count as changed.
 *
 * Throws PgorbitError `unsafe` where one side has a folder and the other a file of the same name.
 */
export function planRewind(target: Listing, source: Listing, changes: Changes): RewindPlan {
  const plan: RewindPlan = { folders: [], copies: [], ranges: [], truncations: [], removals: [], bytes: 0, files: 0 };
  const touched = new Set<string>();
  for (const path of [...new Set([...target.keys(), ...source.keys()])].sort()) {
    if (isTargetsOwn(path)) continue;
    const mine = target.get(path);
    const theirs = isExcluded(path) ? undefined : source.get(path);
    if (theirs === undefined) {
      if (mine !== undefined) plan.removals.push({ path, folder: mine === null });
      if (typeof mine === 'number') touched.add(path);
    } else if (mine === undefined) {
      if (theirs === null) plan.folders.push(path);
      else plan.copies.push({ path, size: theirs });
    } else if (mine === null || theirs === null) {
      if (mine !== theirs) {
        throw new PgorbitError('unsafe', `${path} is a folder on one side and a file on the other`, { hint: 'make this member anew from a fresh copy' });
      }
    } else if (isRelationFile(path)) {
      planRelation(plan, path, mine, theirs, changes);
    } else if (!path.endsWith('PG_VERSION')) {
      plan.copies.push({ path, size: theirs });
    }
  }
  plan.removals.reverse();
  plan.bytes = [...plan.copies.map((copy) => copy.size), ...plan.ranges.map((range) => range.length)].reduce((sum, bytes) => sum + bytes, 0);
  for (const { path } of [...plan.copies, ...plan.ranges, ...plan.truncations]) touched.add(path);
  plan.files = touched.size;
  return plan;
}

function planRelation(plan: RewindPlan, path: string, mine: number, theirs: number, changes: Changes): void {
  // A server that was killed while it extended the file may have left half a block.
  const whole = mine - (mine % BLOCK);
  const { relation, segment } = segmentOf(path);
  const cut = Math.max(0, (changes.truncated.get(relation) ?? Infinity) - segment * SEGMENT_BLOCKS) * BLOCK;
  for (const block of [...(changes.files.get(path) ?? [])].sort((a, b) => a - b)) {
    const end = (block + 1) * BLOCK;
    if (end > Math.min(whole, theirs, cut)) break;
    const last = plan.ranges.at(-1);
    if (last?.path === path && last.offset + last.length === end - BLOCK) last.length += BLOCK;
    else plan.ranges.push({ path, offset: end - BLOCK, length: BLOCK });
  }
  const tail = Math.min(whole, cut);
  if (tail < theirs) plan.ranges.push({ path, offset: tail, length: theirs - tail });
  if (mine > theirs) plan.truncations.push({ path, size: theirs });
}
