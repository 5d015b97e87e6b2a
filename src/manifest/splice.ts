/**
 * Edits of YAML text at the places that its nodes have: everything else stays byte for byte, which printing the
 * document anew would not give (it wraps lines and moves spaces).
 */
import { isMap, isScalar } from 'yaml';
import type { Node, Pair, YAMLMap } from 'yaml';

/** The pair of a mapping with that key, or undefined; merged keys are not looked at. */
export function pairOf(map: unknown, key: string): Pair<Node, Node | null> | undefined {
  if (!isMap(map)) return undefined;
  return map.items.find((p) => isScalar(p.key) && String(p.key.value) === key) as Pair<Node, Node | null> | undefined;
}

/** The text with what a node is replaced. */
export function replaceNode(text: string, node: Node, by: string): string {
  const [start, end] = node.range!;
  return text.slice(0, start) + by + text.slice(end);
}

/**
 * The text with `lines` as one more pair after the last one of a mapping with pairs. In a block mapping they are
 * indented as its keys are; a flow mapping takes the first line alone.
 */
export function appendPair(text: string, map: YAMLMap, lines: readonly string[]): string {
  const last = map.items.at(-1) as Pair<Node, Node | null> | undefined;
  if (!last) {
    // `{}`: the only empty mapping with a place of its own.
    const open = map.range![0];
    return `${text.slice(0, open)}{ ${lines[0]} }${text.slice(map.range![1])}`;
  }
  const end = endOfPair(text, last);
  if (map.flow) return `${text.slice(0, end)}, ${lines[0]}${text.slice(end)}`;
  return insertLines(text, lineEnd(text, end), lines.map((line) => indentAt(text, last.key.range![0]) + line));
}

/** The text with `lines` in a mapping's place where a key has no value yet (`settings:`), indented below it. */
export function fillPair(text: string, pair: Pair<Node, Node | null>, lines: readonly string[]): string {
  const [start, end] = pair.key.range!;
  const indent = `${indentAt(text, start)}  `;
  return insertLines(text, lineEnd(text, end), lines.map((line) => indent + line));
}

/** The text without a pair: its lines in a block mapping, with what stands beside it on them; `{}` remains of an only one. */
export function removePair(text: string, map: YAMLMap, pair: Pair<Node, Node | null>): string {
  if (map.items.length === 1) {
    if (map.flow) return `${text.slice(0, map.range![0])}{}${text.slice(map.range![1])}`;
    const start = lineStart(text, pair.key.range![0]);
    return `${text.slice(0, start)}${indentAt(text, pair.key.range![0])}{}${eolOf(text)}${text.slice(lineEnd(text, endOfPair(text, pair)))}`;
  }
  const end = endOfPair(text, pair);
  if (!map.flow) return text.slice(0, lineStart(text, pair.key.range![0])) + text.slice(lineEnd(text, end));
  const index = map.items.indexOf(pair);
  const next = map.items[index + 1] as Pair<Node, Node | null> | undefined;
  if (next) return text.slice(0, pair.key.range![0]) + text.slice(next.key.range![0]);
  const before = map.items[index - 1] as Pair<Node, Node | null>;
  return text.slice(0, endOfPair(text, before)) + text.slice(end);
}

/** The offset after the last character of a pair, comments and line ends behind it not counted. */
function endOfPair(text: string, pair: Pair<Node, Node | null>): number {
  const value = pair.value;
  const end = isMap(value) && !value.flow && value.items.length > 0
    ? endOfPair(text, value.items.at(-1) as Pair<Node, Node | null>)
    : Math.max(pair.key.range![1], value?.range?.[1] ?? 0);
  let last = end;
  // A block scalar ends behind its last line end.
  while (last > 0 && /\s/.test(text[last - 1]!)) last -= 1;
  return last;
}

function insertLines(text: string, at: number, lines: readonly string[]): string {
  const eol = eolOf(text);
  const before = at > 0 && text[at - 1] !== '\n' ? eol : '';
  return text.slice(0, at) + before + lines.map((line) => line + eol).join('') + text.slice(at);
}

const eolOf = (text: string): string => (text.includes('\r\n') ? '\r\n' : '\n');
const lineStart = (text: string, at: number): number => text.lastIndexOf('\n', at - 1) + 1;
const indentAt = (text: string, at: number): string => ' '.repeat(at - lineStart(text, at));

/** The offset behind the line end of the line that holds `at`. */
function lineEnd(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end === -1 ? text.length : end + 1;
}
