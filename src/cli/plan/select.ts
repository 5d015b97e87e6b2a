/** Which cluster a command means. Pure. */
import { PgorbitError } from '../../errors.ts';

/** The one named by `--cluster` or PGORBIT_CLUSTER, or the only one. Throws `no-such-cluster` or `usage`. */
export function chooseCluster(existing: readonly string[], wanted: string | undefined, home: string): string {
  const list = existing.length > 0 ? `the clusters here are: ${existing.join(', ')}` : `there is no cluster in ${home}; \`pgorbit up\` makes one`;
  if (wanted !== undefined) {
    if (existing.includes(wanted)) return wanted;
    throw new PgorbitError('no-such-cluster', `there is no cluster ${JSON.stringify(wanted)} in ${home}`, { hint: list });
  }
  const [only, ...more] = existing;
  if (only === undefined) throw new PgorbitError('no-such-cluster', `there is no cluster in ${home}`, { hint: '`pgorbit up` makes one; PGORBIT_HOME says where to look' });
  if (more.length > 0) throw new PgorbitError('usage', `${home} holds ${existing.length} clusters, and none was named`, { hint: `add --cluster or set PGORBIT_CLUSTER, one of: ${existing.join(', ')}` });
  return only;
}

/** A name that is safe as a folder's: letters, digits, `_` and `-`, beginning with a letter or digit. */
export function isClusterName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(name);
}
