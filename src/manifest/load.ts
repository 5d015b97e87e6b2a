/** Reads a manifest: every error in it at once, or the cluster that it describes. */
import type { ClusterSpec } from '../group/model.ts';
import { checkTogether } from './check.ts';
import { locate } from './locate.ts';
import type { Range } from './locate.ts';
import { normalise } from './normalise.ts';
import { parse } from './parse.ts';
import type { Parsed } from './parse.ts';
import type { ManifestError, Problem } from './problem.ts';
import type { Manifest } from './schema.ts';
import { ENGINE_CHECK } from './settings.ts';
import type { CheckSetting } from './settings.ts';
import { checkStructure } from './structure.ts';

export type { Manifest } from './schema.ts';
export type { ManifestError } from './problem.ts';
export type { CheckSetting } from './settings.ts';
export { formatErrors } from './format.ts';

export interface LoadOptions {
  /** How messages name the file. */
  file: string;
  /** What relative paths in the manifest are relative to; absolute. */
  baseDir: string;
  /** What the engine says of settings; the engine's own rules unless a test has others. */
  checkSetting?: CheckSetting;
}

export type Loaded = { ok: true; spec: ClusterSpec; manifest: Manifest } | { ok: false; errors: ManifestError[] };

/** Reads a manifest's text. Pure: no file is opened, `baseDir` only resolves relative paths. Never throws. */
export function loadManifest(text: string, options: LoadOptions): Loaded {
  const parsed = parse(text);
  const errors = parsed.flaws.map((flaw) => errorAt(text, parsed, options.file, flaw, flaw.path, flaw.message, flaw.expected));
  if (!parsed.usable) return { ok: false, errors };
  if (parsed.doc.contents === null) {
    const message = 'the manifest is empty';
    return { ok: false, errors: [...errors, errorAt(text, parsed, options.file, { start: 0, end: 1 }, [], message, 'at least `cluster`, `hosts` and `groups`')] };
  }
  const data = plainData(parsed);
  if ('flaw' in data) return { ok: false, errors: [...errors, errorAt(text, parsed, options.file, { start: 0, end: 1 }, [], data.flaw, '')] };

  const form = checkStructure(data.raw);
  const spec = normalise(data.raw, options.baseDir);
  const together = form.some((p) => p.path.length === 0) ? [] : checkTogether({
    spec, raw: data.raw, sound: soundness(form), checkSetting: options.checkSetting ?? ENGINE_CHECK,
  });
  for (const p of [...form, ...together]) {
    errors.push(errorAt(text, parsed, options.file, locate(parsed.doc, p.path, p.at), p.path, p.message, p.expected));
  }
  if (errors.length === 0) return { ok: true, spec, manifest: data.raw as Manifest };
  return { ok: false, errors: errors.sort((a, b) => a.line - b.line || a.column - b.column) };
}

/** The document as plain data; aliases that refer to themselves or multiply without end are refused by `yaml`. */
function plainData({ doc }: Parsed): { raw: unknown } | { flaw: string } {
  try {
    return { raw: doc.toJS() as unknown };
  } catch (error) {
    return { flaw: `the anchors and aliases cannot be resolved: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** A path is sound when nothing is wrong with it or with what holds it, and no unknown key was probably meant as it. */
function soundness(form: readonly Problem[]): (...path: string[]) => boolean {
  const bad = form.flatMap((p) => (p.meant === undefined ? [p.path] : [p.path, [...p.path.slice(0, -1), p.meant]]));
  return (...path) => !bad.some((b) => b.every((step, i) => String(step) === path[i]));
}

function errorAt(text: string, { lines }: Parsed, file: string, range: Range, path: readonly (string | number)[], message: string, expected: string): ManifestError {
  // At the end of the text: the last line that has something on it.
  const start = Math.min(range.start, Math.max(text.trimEnd().length, 0));
  const { line, col } = text === '' ? { line: 1, col: 1 } : lines.linePos(start);
  const rest = text.slice(start, Math.max(range.end, start + 1)).split(/\r?\n/, 1)[0]!.trimEnd();
  return { file, line: Math.max(line, 1), column: Math.max(col, 1), length: Math.max(rest.length, 1), key: path.join('.'), message, expected };
}
