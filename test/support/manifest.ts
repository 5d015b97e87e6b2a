/** Manifests for tests and benches. Pure. */

interface CommonOptions {
  cluster?: string;
  /** Major version of PostgreSQL; without it the newest that is found. */
  version?: number;
  /** Agents listen from here on, members from 20 above; without it pgorbit chooses, and may choose what another test chooses too. */
  firstPort?: number;
  settings?: Record<string, string | number>;
}

export interface ManifestOptions extends CommonOptions {
  /** The shared volume's folder. */
  volume: string;
  driver?: 'auto' | 'btrfs' | 'reflink' | 'copy';
  /** The volume's `size`, as the manifest writes it; without it the folder is used as it is. */
  size?: string;
  /** Beside the primary n1; default 2. */
  replicas?: number;
  /** Default: one a member, at most 3. */
  hosts?: number;
  failover?: 'automatic' | 'manual';
  recloneAbove?: number;
  checkpoint?: 'fast' | 'spread';
}

export interface QuorumManifestOptions extends CommonOptions {
  /** The group's `archive`, as the manifest writes it. */
  archive?: string;
}

/** A manifest with one shared group `main`: n1 is the primary, n2.. are replicas, spread over hosts h1.. on 127.0.0.1. */
export function sharedManifest(options: ManifestOptions): string {
  const replicas = options.replicas ?? 2;
  return text(options, options.hosts ?? Math.min(replicas + 1, 3), ['primary', ...Array.from({ length: replicas }, () => 'replica' as const)], [
    'groups:\n  main:\n    storage: shared\n    volume: main\n    commit: async',
    ...(options.failover === undefined ? [] : [`    failover: ${options.failover}`]),
    ...(options.recloneAbove === undefined ? [] : [`    reclone_above: ${options.recloneAbove}`]),
    ...(options.checkpoint === undefined ? [] : [`    checkpoint: ${options.checkpoint}`]),
  ], `volumes:\n  main: { path: ${JSON.stringify(options.volume)}, driver: ${options.driver ?? 'auto'}${options.size === undefined ? '' : `, size: ${options.size}`} }`);
}

/** A manifest with one quorum group `main` on local storage: primary n1, replica n2 and logger n3, each on a host of its own, h1.. on 127.0.0.1. */
export function quorumManifest(options: QuorumManifestOptions): string {
  return text(options, 3, ['primary', 'replica', 'logger'], [
    'groups:\n  main:\n    storage: local\n    commit: quorum',
    ...(options.archive === undefined ? [] : [`    archive: ${options.archive}`]),
  ]);
}

/** @param group the group's lines before its settings. @param before comes before the groups. */
function text({ cluster, version, firstPort, settings }: CommonOptions, hosts: number, roles: ('primary' | 'replica' | 'logger')[], group: string[], ...before: string[]): string {
  const port = (above: number): string => (firstPort === undefined ? '' : `, port: ${firstPort + above}`);
  const host = (i: number): string => `h${i + 1}: { address: 127.0.0.1${port(i)} }`;
  const set = Object.entries(settings ?? {}).map(([name, value]) => `      ${name}: ${value}`);
  return [
    `cluster: ${cluster ?? 'test'}`,
    ...(version === undefined ? [] : [`engine: { kind: postgres, version: ${version} }`]),
    `hosts: { ${Array.from({ length: hosts }, (_, i) => host(i)).join(', ')} }`,
    ...before,
    ...group,
    ...(set.length === 0 ? [] : ['    settings:', ...set]),
    '    members:',
    ...roles.map((role, i) => `      n${i + 1}: { host: h${(i % hosts) + 1}, role: ${role}${port(20 + i)} }`),
    '',
  ].join('\n');
}
