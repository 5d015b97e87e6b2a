/** From text to a YAML document, with YAML's own errors in words of ours. */
import { isMap, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import type { Document, ErrorCode, Pair, Scalar, YAMLError } from 'yaml';

/** Something wrong at a range of the text. */
export interface Flaw {
  /** UTF-16 offsets, the end exclusive. */
  start: number;
  end: number;
  /** The keys that lead there. */
  path: string[];
  message: string;
  expected: string;
}

export interface Parsed {
  doc: Document.Parsed;
  lines: LineCounter;
  flaws: Flaw[];
  /** False when the text is not YAML, so that looking for further errors would find only consequences. */
  usable: boolean;
}

/** What would be right, by the code of the `yaml` package. */
const EXPECTED: Partial<Record<ErrorCode, string>> = {
  TAB_AS_INDENT: 'spaces: YAML does not indent with tabs',
  BAD_INDENT: 'the same indentation as the lines beside it',
  BAD_SCALAR_START: 'quotes around text that starts with this character',
  BAD_DQ_ESCAPE: 'single quotes, or a double backslash',
  BLOCK_AS_IMPLICIT_KEY: 'one `key: value` a line',
  BLOCK_IN_FLOW: 'the closing bracket before the next line of the outer mapping',
  MULTILINE_IMPLICIT_KEY: 'a colon and a space after the key, and both on one line',
  MULTIPLE_DOCS: 'no `---` between two parts: a manifest describes one cluster',
  BAD_ALIAS: 'an anchor with that name before it',
  TAG_RESOLVE_FAILED: 'no tag: plain text, numbers, true and false',
};

/** Parses with merge keys (`<<`) allowed. Numbers under `settings` stay as they were written: `0640` is no 640 there. */
export function parse(text: string): Parsed {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true, logLevel: 'error' });
  const flaws: Flaw[] = [];
  const flawed = new Set<number>();
  let usable = true;
  for (const problem of [...doc.errors, ...doc.warnings]) {
    const [start, end] = problem.pos;
    if (problem.code === 'DUPLICATE_KEY') {
      flaws.push(duplicate(doc, lines, start));
      continue;
    }
    usable = false;
    // One slip has many consequences on its line; the first says it.
    const line = lines.linePos(start).line;
    if (flawed.has(line)) continue;
    flawed.add(line);
    // The indentation itself is blank: what it indents is seen better.
    const from = start + /^ */.exec(text.slice(start))![0].length;
    flaws.push({ start: from, end: Math.max(end, from + 1), path: [], ...explain(problem) });
  }
  if (usable) keepSettingsAsWritten(doc);
  return { doc, lines, flaws, usable };
}

function explain({ code, message }: YAMLError): { message: string; expected: string } {
  if (code === 'MULTIPLE_DOCS') return { message: 'a second YAML document starts here', expected: EXPECTED[code]! };
  const plain = `this is not YAML: ${message.replace(/\s+/g, ' ').replace(/\.$/, '')}`;
  const bracket = /^Flow (?:map|sequence).* end with a (\S)/.exec(message)?.[1];
  return { message: plain, expected: bracket === undefined ? EXPECTED[code] ?? '' : `a \`${bracket}\` at the end of what was opened above` };
}

function duplicate(doc: Document.Parsed, lines: LineCounter, start: number): Flaw {
  let flaw: Flaw = { start, end: start + 1, path: [], message: 'the key is written twice', expected: 'one of the two' };
  visit(doc, {
    Pair(_, pair, ancestors) {
      const key = pair.key as Scalar.Parsed | null;
      if (!isScalar(key) || key.range?.[0] !== start) return undefined;
      const siblings = ancestors.at(-1);
      const first = isMap(siblings) ? siblings.items.find((p) => isScalar(p.key) && p.key.value === key.value) : undefined;
      const at = (first?.key as Scalar.Parsed | undefined)?.range?.[0];
      const path = [...ancestors.filter((a): a is Pair => 'key' in a).map((p) => String(p.key)), String(key.value)];
      flaw = {
        start, end: key.range[1], path,
        message: `\`${String(key.value)}\` is written twice${at === undefined ? '' : `: line ${lines.linePos(at).line} has it already`}`,
        expected: 'one of the two',
      };
      return visit.BREAK;
    },
  });
  return flaw;
}

function keepSettingsAsWritten(doc: Document.Parsed): void {
  visit(doc, {
    Pair(_, pair) {
      if (!isScalar(pair.key) || pair.key.value !== 'settings' || !isMap(pair.value)) return;
      for (const { value } of pair.value.items) {
        if (isScalar(value)) value.value = asWritten(value);
      }
    },
  });
}

/** A setting's value as postgresql.conf takes it, where YAML read a number or a truth value; anything else as it is. */
export function asWritten(scalar: Scalar): unknown {
  if (typeof scalar.value === 'boolean') return scalar.value ? 'on' : 'off';
  if (typeof scalar.value !== 'number' && typeof scalar.value !== 'bigint') return scalar.value;
  // PostgreSQL writes octal numbers with a leading zero only.
  return (scalar.source ?? String(scalar.value)).replace(/^0o/, '0');
}
