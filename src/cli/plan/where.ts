/** Which hosts are this machine's, and what of a cluster is therefore to be made and looked at here. Pure. */
import type { ClusterSpec, VolumeSpec } from '../../group/model.ts';
import type { ClusterFile } from '../admin.ts';

export interface Whereabouts {
  file: Pick<ClusterFile, 'agents' | 'remote'> | null;
  /** Hosts for which a token to join was given out, or is about to be. */
  invited: readonly string[];
  /** Is it an address of this machine? */
  own: (address: string) => boolean;
}

/**
 * The hosts of the manifest whose agents are somebody else's to run: they joined from elsewhere, are invited to, or have
 * an address that is not this machine's. What began as this machine's stays so.
 */
export function remoteHosts(spec: ClusterSpec, { file, invited, own }: Whereabouts): string[] {
  return Object.values(spec.hosts).filter(({ name, address }) => {
    if (file?.agents.some((agent) => agent.host === name) === true) return false;
    return file?.remote.some((agent) => agent.host === name) === true || invited.includes(name) || !own(address);
  }).map((host) => host.name);
}

/** The volumes that members of this machine lie on, and those that nobody uses. */
export function volumesHere(spec: ClusterSpec, remote: readonly string[]): VolumeSpec[] {
  const members = Object.values(spec.groups).flatMap((group) => Object.values(group.members).map((member) => ({ host: member.host, volume: member.volume ?? group.volume })));
  return Object.values(spec.volumes).filter((volume) => {
    const users = members.filter((member) => member.volume === volume.name);
    return users.length === 0 || users.some((member) => !remote.includes(member.host));
  });
}
