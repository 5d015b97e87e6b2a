/**
 * The voters are the hosts of the manifest whose agents have been here: a new one listens first and votes when it has
 * caught up; one that left is removed, and then forgotten.
 */
import type { ClusterView } from './documents.ts';
import type { RaftStore } from '../consensus/raft-store.ts';
import type { Conf } from '../consensus/core/types.ts';

export type VoterStep = { do: 'add' | 'promote' | 'remove' | 'forget'; host: string } | null;

export interface VoterFacts {
  conf: Conf;
  /** In the manifest. */
  hosts: readonly string[];
  /** With an agent that has said where it is. */
  joined: readonly string[];
  /** With members. */
  inUse: ReadonlySet<string>;
}

/** One change at a time, additions first, so that no change makes the group smaller than it has to be. Pure. */
export function nextVoterStep({ conf, hosts, joined, inUse }: VoterFacts): VoterStep {
  const present = [...conf.voters, ...conf.learners];
  const added = hosts.find((host) => !present.includes(host) && joined.includes(host));
  if (added !== undefined) return { do: 'add', host: added };
  const learner = conf.learners.find((host) => hosts.includes(host));
  if (learner !== undefined) return { do: 'promote', host: learner };
  // A host that still has members is needed until they are gone.
  const left = present.find((host) => !hosts.includes(host) && !inUse.has(host));
  if (left !== undefined) return { do: 'remove', host: left };
  const gone = joined.find((host) => !hosts.includes(host) && !present.includes(host));
  return gone === undefined ? null : { do: 'forget', host: gone };
}

export async function settleVoters(store: RaftStore, view: ClusterView, forget: (host: string) => Promise<void>): Promise<void> {
  if (view.cluster === null) return;
  const inUse = new Set([...view.groups.values()].flatMap(({ record }) => Object.values(record.members).map((member) => member.host)));
  const step = nextVoterStep({ conf: store.members(), hosts: Object.keys(view.cluster.document.spec.hosts), joined: Object.keys(view.agents ?? {}), inUse });
  if (step?.do === 'add') await store.addLearner(step.host);
  else if (step?.do === 'promote') await store.promote(step.host);
  else if (step?.do === 'remove') await store.remove(step.host);
  else if (step?.do === 'forget') await forget(step.host);
}
