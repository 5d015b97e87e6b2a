/** Where in the text something of a manifest stands. */
import { isAlias, isCollection, isMap, isScalar } from 'yaml';
import type { Document, Node, Pair, YAMLMap } from 'yaml';

export interface Range {
  /** UTF-16 offsets, the end exclusive. */
  start: number;
  end: number;
}

type Key = string | number;

/**
 * The range of the value at `path`, or of its key. For a value that spans lines, is empty or is not there, the key of
 * the nearest thing that is: carets below a whole mapping would say nothing.
 */
export function locate(doc: Document.Parsed, path: readonly Key[], at: 'key' | 'value'): Range {
  let node: Node | null = doc.contents;
  let key: Node | null = null;
  for (const step of path) {
    const map = resolve(doc, node);
    const pair: Pair | undefined = isMap(map) ? findPair(doc, map, String(step)) : undefined;
    if (!pair) break;
    key = pair.key as Node;
    node = pair.value as Node | null;
  }
  if (at === 'value' && node?.range && node.range[1] > node.range[0] && !(isCollection(node) && !node.flow)) return rangeOf(node);
  return key ? rangeOf(key) : { start: 0, end: 1 };
}

const rangeOf = (node: Node): Range => ({ start: node.range![0], end: Math.max(node.range![1], node.range![0] + 1) });

const resolve = (doc: Document.Parsed, node: Node | null): unknown => (isAlias(node) ? node.resolve(doc) : node);

/** The last pair with that key, as that is the one that counts, or the one that a merge key brings in. */
function findPair(doc: Document.Parsed, map: YAMLMap, key: string): Pair | undefined {
  const own = map.items.findLast((p) => isScalar(p.key) && String(p.key.value) === key);
  if (own) return own;
  for (const pair of map.items) {
    if (!isScalar(pair.key) || (pair.key.value !== '<<' && typeof pair.key.value !== 'symbol')) continue;
    const merged = resolve(doc, pair.value as Node | null);
    const found = isMap(merged) ? findPair(doc, merged, key) : undefined;
    if (found) return found;
  }
  return undefined;
}
