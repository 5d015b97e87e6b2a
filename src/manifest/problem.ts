/** One thing wrong with a manifest: where, what, and what would be right. */
export interface ManifestError {
  /** As the person named it. */
  file: string;
  /** Counted from 1. */
  line: number;
  /** Counted from 1, in UTF-16 code units. */
  column: number;
  /** How many code units of the line are wrong; at least 1. */
  length: number;
  /** Where in the manifest, dotted: `groups.main.members.n2.role`; empty for the file as a whole. */
  key: string;
  message: string;
  /** What would be right, or empty where the message says it. */
  expected: string;
}

/** Something wrong with the value (or the key) at a path. */
export interface Problem {
  path: (string | number)[];
  at: 'key' | 'value';
  message: string;
  expected: string;
  /** For an unknown key: the known one that was probably meant. */
  meant?: string | undefined;
}
