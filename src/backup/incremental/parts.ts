/** Which backups of a lineage have something of a file. */
import { inside } from '../../engine/files.ts';
import { incrementalOf } from './header.ts';
import type { Descent } from './lineage.ts';
import type { Part } from './rebuild.ts';

/** What they have of it, from the newest back to the one that has all of it. None where no backup has it. */
export function partsOf(all: readonly Pick<Descent, 'dir' | 'manifest'>[], path: string): Part[] {
  const parts: Part[] = [];
  for (const { dir, manifest } of all.toReversed()) {
    const whole = manifest.files.has(path);
    const name = whole ? path : incrementalOf(path);
    if (!whole && !manifest.files.has(name)) return parts;
    parts.push({ file: inside(dir, name), shown: `${dir}/${name}`, whole });
    if (whole) return parts;
  }
  return parts;
}
