/** The groups that faults are tried on. */

export const TOPOLOGIES = ['three-node', 'five', 'local-replicas', 'shared'] as const;
export type TopologyName = (typeof TOPOLOGIES)[number];

export interface Topology {
  name: TopologyName;
  hosts: string[];
  storage: 'local' | 'shared';
  members: Record<string, { host: string; role: 'primary' | 'replica' | 'logger' }>;
  /**
   * A row that a replica shows stays. Not with five voters: one replica and the primary are no majority of them, and a
   * standby shows what it has, whether it was acknowledged or not.
   */
  replicaSightsStay: boolean;
}

const ROLES: Record<TopologyName, { storage: 'local' | 'shared'; roles: ('primary' | 'replica' | 'logger')[] }> = {
  'three-node': { storage: 'local', roles: ['primary', 'replica', 'logger'] },
  five: { storage: 'local', roles: ['primary', 'replica', 'replica', 'logger', 'logger'] },
  'local-replicas': { storage: 'local', roles: ['primary', 'replica', 'replica'] },
  shared: { storage: 'shared', roles: ['primary', 'replica', 'replica'] },
};

export function topologyOf(name: TopologyName): Topology {
  const { storage, roles } = ROLES[name];
  return {
    name, storage, replicaSightsStay: roles.length < 5,
    hosts: roles.map((_, i) => `h${i + 1}`),
    members: Object.fromEntries(roles.map((role, i) => [`n${i + 1}`, { host: `h${i + 1}`, role }])),
  };
}

export interface ManifestInput {
  topology: Topology;
  cluster: string;
  version: number;
  addresses: Record<string, string>;
  /** Where the volume of a shared group lies, and how it clones. */
  volume: { path: string; driver: string } | null;
}

export function manifestOf({ topology, cluster, version, addresses, volume }: ManifestInput): string {
  const members = Object.entries(topology.members).map(([name, { host, role }]) => `      ${name}: { host: ${host}, role: ${role} }`);
  return [
    `cluster: ${cluster}`,
    `engine: { kind: postgres, version: ${version} }`,
    `hosts: { ${topology.hosts.map((host) => `${host}: ${addresses[host]}`).join(', ')} }`,
    ...(volume === null ? [] : [`volumes: { main: { path: ${JSON.stringify(volume.path)}, driver: ${volume.driver} } }`]),
    'groups:\n  main:',
    ...(topology.storage === 'shared' ? ['    storage: shared\n    volume: main\n    commit: async'] : ['    storage: local\n    commit: quorum']),
    // Small, as the hosts' disks are.
    '    settings: { shared_buffers: 16MB, max_wal_size: 96MB, min_wal_size: 32MB, wal_keep_size: 32MB, log_connections: off }',
    ...(Object.values(topology.members).some((member) => member.role === 'logger') ? ['    logger: { keep: 64MB, keep_for: 0s, limit: 256MB }'] : []),
    '    members:',
    ...members,
    '',
  ].join('\n');
}
