/** Who may log in, from the agents. */
import type { SecretsDocument } from '../group/model.ts';
import { PgorbitError } from '../errors.ts';
import type { Cluster } from './cluster.ts';

/** The accounts of the cluster. Throws `operation-failed` while it has none yet. */
export async function fetchSecrets(cluster: Cluster): Promise<SecretsDocument> {
  const { secrets } = await cluster.call('GET /v1/secrets', {});
  if (secrets === null) throw new PgorbitError('operation-failed', `cluster ${cluster.name} is not set up yet`, { hint: 'run `pgorbit up` to finish it' });
  return secrets;
}
