/** What the model knows and this release does not build yet. A release that builds it sets its flag. */
export const SUPPORTED = {
  'commit: quorum': false,
  'storage: local': false,
  'role: logger': false,
  'role: standby': false,
  'kind: polardb': false,
} as const satisfies Record<string, boolean>;

export type Feature = keyof typeof SUPPORTED;
export type Supported = Readonly<Record<Feature, boolean>>;

/** What to write until then. */
export const INSTEAD: Readonly<Record<Feature, string>> = {
  'commit: quorum': '`commit: async`, which loses nothing acknowledged on shared storage either',
  'storage: local': '`storage: shared` and a volume: any directory will do, with `driver: copy` where nothing can be cloned',
  'role: logger': '`role: replica`',
  'role: standby': '`role: replica`',
  'kind: polardb': '`kind: postgres`',
};
