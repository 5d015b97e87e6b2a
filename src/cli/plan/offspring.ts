/** The manifest of a cluster that begins with a standby of another. Pure. */
import { stringify } from 'yaml';
import type { ClusterSpec, GroupSpec, MemberSpec } from '../../group/model.ts';

export interface Offspring {
  cluster: string;
  /** The cluster that it was a standby of. */
  of: ClusterSpec;
  group: GroupSpec;
  member: MemberSpec;
  /** The version that its data are of. */
  major: number;
  /** The folder of its data where that is not in the home of its agent. */
  path: string | null;
}

/** An archive is one cluster's: two that write to it would overwrite each other's WAL. */
const LEFT_OUT = /^archive_/;

/** One group on local storage with that member alone, as the primary: same host, port and settings. */
export function offspringManifest({ cluster, of, group, member, major, path }: Offspring): string {
  const host = of.hosts[member.host];
  const engine = { kind: of.engine.kind, version: major, ...(of.engine.bin === null ? {} : { bin: of.engine.bin }) };
  const settings = Object.fromEntries(Object.entries(group.settings).filter(([name]) => !LEFT_OUT.test(name)));
  const body = {
    cluster,
    engine,
    hosts: { [member.host]: host?.address ?? '127.0.0.1' },
    groups: {
      [group.name]: {
        storage: 'local', commit: 'async',
        ...(Object.keys(settings).length === 0 ? {} : { settings }),
        members: { [member.name]: { host: member.host, role: 'primary', ...(member.port === null ? {} : { port: member.port }), ...(path === null ? {} : { path }) } },
      },
    },
  };
  return `# Made by \`pgorbit promote ${member.name}\`: it was a ${member.role} of the cluster ${of.cluster}, and is a cluster of its own now.\n# \`pgorbit add replica\` and \`pgorbit add standby\` give it members again.\n${stringify(body)}`;
}

/** Settings that the new cluster does not take over. */
export const leftOut = (group: GroupSpec): string[] => Object.keys(group.settings).filter((name) => LEFT_OUT.test(name)).sort();
