/** The manifest of the demo cluster. */

/**
 * Its text, with comments: a primary n1 and replicas n2.. on a shared volume, one on each of `hosts` hosts (at least 1,
 * 3 unless given), which are all this machine. `volumePath` is used as it is given; relative to where the manifest will lie.
 */
export function demoManifest(options: { cluster?: string; volumePath: string; hosts?: number }): string {
  const hosts = Array.from({ length: Math.max(options.hosts ?? 3, 1) }, (_, i) => `h${i + 1}`);
  const members = hosts.map((host, i) => `      n${i + 1}: { host: ${host}, role: ${i === 0 ? 'primary' : 'replica'} }`);
  return `# A cluster to try pgorbit with: one PostgreSQL that writes, ${hosts.length - 1} that read, and one copy of the data.
# Change it and run \`pgorbit up\` with it again: what differs is shown, then done.
cluster: ${options.cluster ?? 'demo'}

# The newest PostgreSQL; where it is not installed, the one that comes with pgorbit runs.
engine: { kind: postgres, version: 18 }

# Each host runs an agent. Here all of them play on this machine; elsewhere each has an address of its own.
hosts:
${hosts.map((host) => `  ${host}: 127.0.0.1`).join('\n')}

# Where the data lies. \`driver: auto\` takes the best that the folder's file system allows: btrfs or XFS clone in
# an instant and share what is equal; elsewhere members are copied. \`size: 10GB\` (as root) makes a volume in a file.
volumes:
  main: { path: ${JSON.stringify(options.volumePath)}, driver: auto }

groups:
  main:
    storage: shared
    volume: main
    commit: async
    # As in postgresql.conf; the same for every member.
    settings:
      shared_buffers: 128MB
    # Exactly one primary. A new line here is a new replica, or: pgorbit add replica
    members:
${members.join('\n')}
`;
}
