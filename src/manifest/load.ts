import { PgorbitError } from '../errors.ts';
import type { ClusterSpec } from '../group/model.ts';
import type { ManifestError } from './problem.ts';

/** The manifest as it was written: short forms, words of the seeds, nothing filled in. */
export type Manifest = Record<string, unknown>;

/** What src/engine/settings.ts says of one setting. */
export type CheckSetting = (name: string, value: string, major: number | null) => { ok: true } | { ok: false; reason: string; instead: string };

export interface LoadOptions {
  /** How messages name the file. */
  file: string;
  /** What relative paths in the manifest are relative to; absolute. */
  baseDir: string;
}

export type Loaded = { ok: true; spec: ClusterSpec; manifest: Manifest } | { ok: false; errors: ManifestError[] };

/** Reads a manifest's text and reports every error in it at once, or the cluster that it describes. Pure. */
export function loadManifest(text: string, options: LoadOptions): Loaded {
  throw new PgorbitError('internal', `${options.file}: ${text.length} characters, and no loader yet`);
}
