/** Arithmetic on physical ranges: what of the disk belongs to one member, what to several. */

export interface RangeAccount {
  /** By owner: bytes that no other owner refers to. */
  exclusive: number[];
  /** Bytes that two or more owners refer to, counted once. */
  shared: number;
  /** By owner: those of `shared` that it refers to. */
  sharedBy: number[];
}

/**
 * Sweeps over all owners' ranges (flat pairs [start, length]; start -1 is exclusive as it stands). Ranges of one
 * owner may overlap each other: they count once.
 */
export function accountRanges(owners: readonly (readonly Float64Array[])[]): RangeAccount {
  const exclusive = owners.map(() => 0);
  const sharedBy = owners.map(() => 0);
  let shared = 0;
  const { positions, changes, order } = edgesOf(owners, exclusive);
  const depth = owners.map(() => 0);
  let covering = 0;
  let before = 0;
  for (const index of order) {
    const here = positions[index]!;
    const length = here - before;
    if (length > 0 && covering > 0) {
      if (covering > 1) shared += length;
      for (const [owner, ranges] of depth.entries()) {
        if (ranges === 0) continue;
        if (covering === 1) exclusive[owner]! += length;
        else sharedBy[owner]! += length;
      }
    }
    before = here;
    const change = changes[index]!;
    const owner = Math.abs(change) - 1;
    const now = depth[owner]! + Math.sign(change);
    if (change > 0 && now === 1) covering++;
    if (change < 0 && now === 0) covering--;
    depth[owner] = now;
  }
  return { exclusive, shared, sharedBy };
}

interface Edges {
  positions: Float64Array;
  /** +(owner + 1) where a range begins, -(owner + 1) where it ends. */
  changes: Int16Array;
  /** Indexes of the above by position. */
  order: Uint32Array;
}

function edgesOf(owners: readonly (readonly Float64Array[])[], exclusive: number[]): Edges {
  let count = 0;
  for (const files of owners) for (const pairs of files) count += pairs.length;
  const positions = new Float64Array(count);
  const changes = new Int16Array(count);
  let used = 0;
  for (const [owner, files] of owners.entries()) {
    for (const pairs of files) {
      for (let i = 0; i < pairs.length; i += 2) {
        const start = pairs[i]!;
        const length = pairs[i + 1]!;
        if (start < 0) {
          exclusive[owner]! += length;
          continue;
        }
        positions[used] = start;
        changes[used++] = owner + 1;
        positions[used] = start + length;
        changes[used++] = -(owner + 1);
      }
    }
  }
  const order = new Uint32Array(used);
  for (let i = 0; i < used; i++) order[i] = i;
  order.sort((a, b) => positions[a]! - positions[b]!);
  return { positions, changes, order };
}
