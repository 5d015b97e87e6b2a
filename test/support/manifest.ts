/** Manifests for tests and benches. Pure. */

export interface ManifestOptions {
  cluster?: string;
  /** The shared volume's folder. */
  volume: string;
  driver?: 'auto' | 'btrfs' | 'reflink' | 'copy';
  /** The volume's `size`, as the manifest writes it; without it the folder is used as it is. */
  size?: string;
  /** Major version of PostgreSQL; without it the newest that is found. */
  version?: number;
  /** Beside the primary n1; default 2. */
  replicas?: number;
  /** Default: one a member, at most 3. */
  hosts?: number;
  /** Agents listen from here on, members from 20 above; without it pgorbit chooses, and may choose what another test chooses too. */
  firstPort?: number;
  failover?: 'automatic' | 'manual';
  recloneAbove?: number;
  checkpoint?: 'fast' | 'spread';
  settings?: Record<string, string | number>;
}

/** A manifest with one shared group `main`: n1 is the primary, n2.. are replicas, spread over hosts h1.. on 127.0.0.1. */
export function sharedManifest(options: ManifestOptions): string {
  const replicas = options.replicas ?? 2;
  const hosts = Array.from({ length: options.hosts ?? Math.min(replicas + 1, 3) }, (_, i) => `h${i + 1}`);
  const port = (above: number): string => (options.firstPort === undefined ? '' : `, port: ${options.firstPort + above}`);
  const members = Array.from({ length: replicas + 1 }, (_, i) => `      n${i + 1}: { host: ${hosts[i % hosts.length]}, role: ${i === 0 ? 'primary' : 'replica'}${port(20 + i)} }`);
  const settings = Object.entries(options.settings ?? {}).map(([name, value]) => `      ${name}: ${value}`);
  return [
    `cluster: ${options.cluster ?? 'test'}`,
    ...(options.version === undefined ? [] : [`engine: { kind: postgres, version: ${options.version} }`]),
    `hosts: { ${hosts.map((host, i) => `${host}: { address: 127.0.0.1${port(i)} }`).join(', ')} }`,
    `volumes:\n  main: { path: ${JSON.stringify(options.volume)}, driver: ${options.driver ?? 'auto'}${options.size === undefined ? '' : `, size: ${options.size}`} }`,
    'groups:\n  main:\n    storage: shared\n    volume: main\n    commit: async',
    ...(options.failover === undefined ? [] : [`    failover: ${options.failover}`]),
    ...(options.recloneAbove === undefined ? [] : [`    reclone_above: ${options.recloneAbove}`]),
    ...(options.checkpoint === undefined ? [] : [`    checkpoint: ${options.checkpoint}`]),
    ...(settings.length === 0 ? [] : ['    settings:', ...settings]),
    '    members:',
    ...members,
    '',
  ].join('\n');
}
