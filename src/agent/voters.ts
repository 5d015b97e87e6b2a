/** The voters are the hosts of the manifest: a new one listens first and votes when it has caught up; one that left is removed. */
import type { ClusterView } from './documents.ts';
import type { RaftStore } from '../consensus/raft-store.ts';
import type { Conf } from '../consensus/core/types.ts';

export type VoterStep = { do: 'add' | 'promote' | 'remove'; host: string } | null;

/** One change at a time, additions first, so that no change makes the group smaller than it has to be. Pure. */
export function nextVoterStep(conf: Conf, hosts: readonly string[], inUse: ReadonlySet<string>): VoterStep {
  const present = [...conf.voters, ...conf.learners];
  const added = hosts.find((host) => !present.includes(host));
  if (added !== undefined) return { do: 'add', host: added };
  const learner = conf.learners.find((host) => hosts.includes(host));
  if (learner !== undefined) return { do: 'promote', host: learner };
  // A host that still has members is needed until they are gone.
  const left = present.find((host) => !hosts.includes(host) && !inUse.has(host));
  return left === undefined ? null : { do: 'remove', host: left };
}

export async function settleVoters(store: RaftStore, view: ClusterView): Promise<void> {
  if (view.cluster === null) return;
  const inUse = new Set([...view.groups.values()].flatMap(({ record }) => Object.values(record.members).map((member) => member.host)));
  const step = nextVoterStep(store.members(), Object.keys(view.cluster.document.spec.hosts), inUse);
  if (step?.do === 'add') await store.addLearner(step.host);
  else if (step?.do === 'promote') await store.promote(step.host);
  else if (step?.do === 'remove') await store.remove(step.host);
}
