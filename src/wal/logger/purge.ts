/** Which segments may go: a pure decision. */
import type { Lsn } from '../lsn.ts';
import type { StoredSegment } from './store.ts';

export interface PurgeRules {
  /** False keeps everything. */
  enabled: boolean;
  /** WAL up to this many bytes is kept, however old. */
  keepBytes: number;
  /** Beyond `keepBytes`, WAL younger than this is kept as well, up to `maxBytes`. */
  keepMs: number;
  /** Beyond this, only what somebody still needs is kept. */
  maxBytes: number;
}

export interface PurgeInput {
  /** By position. */
  segments: StoredSegment[];
  segmentSize: number;
  flushed: Lsn;
  rules: PurgeRules;
  /** From where on WAL is needed: by members that lack it, by the archive, by slots, by followers that stream now. */
  holds: Lsn[];
  /** False until the cluster has said what members and archive need: nothing is purged on a guess. */
  holdsKnown: boolean;
  nowMs: number;
}

/**
 * The names to take away, oldest first. What a hold protects is never among them, whatever the size: a full disk stops
 * acknowledgements, lost WAL cannot be had back. The segment that ends at `flushed` stays too.
 */
export function decidePurge(input: PurgeInput): string[] {
  const { segments, rules, nowMs } = input;
  if (!rules.enabled || !input.holdsKnown) return [];
  const size = BigInt(input.segmentSize);
  const needed = input.holds.reduce((least, hold) => (hold < least ? hold : least), input.flushed);
  let total = segments.length * input.segmentSize;
  const names: string[] = [];
  for (const segment of segments) {
    const end = segment.start + size;
    if (end > needed || end >= input.flushed) break;
    const left = total - input.segmentSize;
    const young = nowMs - segment.modifiedMs < rules.keepMs;
    if (left < rules.keepBytes || (young && total <= rules.maxBytes)) break;
    names.push(segment.name);
    total = left;
  }
  return names;
}
