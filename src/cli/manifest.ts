/** The manifest that a command means, read and checked. */
import { isAbsolute, relative } from 'node:path';
import { checkSetting } from '../engine/settings.ts';
import { PgorbitError } from '../errors.ts';
import type { ClusterSpec } from '../group/model.ts';
import { formatErrors } from '../manifest/format.ts';
import { loadManifest } from '../manifest/load.ts';

export interface ManifestInput {
  text: string;
  /** How messages name it. */
  shown: string;
  /** A command made this text of the manifest in force: what is wrong is what the command was given. */
  edited?: true;
  /** The user's file, absolute; null for the demo's. */
  source: string | null;
  /** What relative paths in it are relative to; absolute. */
  baseDir: string;
}

/** The newest major stands in where the manifest leaves the version open: settings differ little between majors. */
const NEWEST = 18;

/** The cluster that the manifest describes. Throws `manifest-invalid` with every error where it stands. */
export function readSpec(input: ManifestInput): ClusterSpec {
  const loaded = loadManifest(input.text, {
    file: input.shown,
    baseDir: input.baseDir,
    checkSetting: (name, value, major) => checkSetting(name, value, major ?? NEWEST),
  });
  if (loaded.ok) return loaded.spec;
  const count = loaded.errors.length;
  throw new PgorbitError('manifest-invalid', `${input.shown} has ${count === 1 ? 'an error' : `${count} errors`}; nothing was changed\n\n${formatErrors(loaded.errors, input.text).trimEnd()}`, {
    hint: input.edited === true ? 'name another value, or see docs/manifest.md for what may stand there' : `correct it and run \`pgorbit up${input.source === null ? '' : ` ${shellWord(input.shown)}`}\` again`,
  });
}

/** A path as a person would type it: relative where it lies below the present folder. */
export function shownPath(path: string, cwd: string): string {
  const near = relative(cwd, path);
  return near === '' || near.startsWith('..') || isAbsolute(near) ? path : near;
}

const shellWord = (text: string): string => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`);
