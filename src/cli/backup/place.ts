/** Where a group's backups are when a command does not say it: where its manifest has its WAL archived. */
import { PgorbitError } from '../../errors.ts';
import type { ClusterSpec } from '../../group/model.ts';
import { listClusters, readApplied } from '../admin.ts';
import { Cluster } from '../cluster.ts';
import type { Context } from '../context.ts';
import { chooseGroup } from '../plan/names.ts';
import { chooseCluster } from '../plan/select.ts';

export interface Place {
  /** A folder, or `s3://BUCKET/PREFIX`. */
  where: string;
  /** Whose backups are meant in it; undefined where nothing was said about that. */
  cluster: string | undefined;
}

export type PlaceOption = '--to' | '--from';

/**
 * The repository that `option` names, else PGORBIT_BACKUPS, else where the group is archived by the manifest that `spec`
 * resolves to. What was not said is told on standard error. Throws `usage`, `no-such-group`, and what `spec` does.
 */
export async function placeOf(context: Context, wish: { option: PlaceOption; named: string | undefined; group: string | undefined; spec: () => Promise<ClusterSpec> }): Promise<Place> {
  const said = wish.named ?? context.env['PGORBIT_BACKUPS'];
  if (said) {
    if (wish.named === undefined) context.progress.note(`the repository is ${said} (PGORBIT_BACKUPS)`);
    return { where: said, cluster: context.wantedCluster };
  }
  const spec = await wish.spec();
  const { where, groups } = archivedTo(spec, wish.group, wish.option);
  context.progress.note(`the repository is ${where}, where cluster ${spec.cluster} archives ${groups.join(', ')}`);
  return { where, cluster: spec.cluster };
}

/** As placeOf, for a command that needs no cluster to run: what was applied last is asked where no agent answers. */
export function placeOfBackups(context: Context, named: string | undefined, group: string | undefined): Promise<Place> {
  return placeOf(context, { option: '--from', named, group, spec: () => knownSpec(context) });
}

/** The manifest in force, by the agents. Throws `operation-failed` while there is none. */
export async function specOf(context: Context, cluster: Cluster): Promise<ClusterSpec> {
  const { document } = await cluster.call('GET /v1/cluster', {}, { signal: context.signal });
  if (document !== null) return document.spec;
  throw new PgorbitError('operation-failed', `cluster ${cluster.name} is not set up yet`, { hint: 'run `pgorbit up` to finish it' });
}

async function knownSpec(context: Context): Promise<ClusterSpec> {
  let name: string;
  try {
    name = chooseCluster(await listClusters(context.home), context.wantedCluster, context.home);
  } catch (error) {
    if (!(error instanceof PgorbitError)) throw error;
    throw new PgorbitError('usage', `no repository was named, and ${error.message}`, { hint: naming('--from'), cause: error });
  }
  const applied = (await readApplied(context.home, name))?.spec ?? null;
  let cluster: Cluster | null = null;
  try {
    cluster = await Cluster.open(context, name);
    return await specOf(context, cluster);
  } catch (error) {
    if (applied === null || !(error instanceof PgorbitError) || error.code !== 'agent-unreachable') throw error;
    return applied;
  } finally {
    cluster?.close();
  }
}

/** The place, and the groups that are archived there. Pure. Throws `usage`, `no-such-group`. */
export function archivedTo(spec: ClusterSpec, wanted: string | undefined, option: PlaceOption): { where: string; groups: string[] } {
  const all = Object.values(spec.groups);
  const meant = wanted === undefined ? all : all.filter(({ name }) => name === chooseGroup(all.map((one) => one.name), wanted));
  const found = meant.flatMap(({ name, archive }) => (archive ? [{ name, to: archive.to }] : []));
  const [where, ...others] = [...new Set(found.map(({ to }) => to))];
  if (where === undefined) throw new PgorbitError('usage', `no repository was named, and the manifest of cluster ${spec.cluster} names none for ${meant.map(({ name }) => name).join(', ')}`, { hint: `${naming(option)}; so does the key \`archive\` of a group, in the manifest` });
  if (others.length > 0) throw new PgorbitError('usage', `no repository was named, and the groups of cluster ${spec.cluster} are archived to ${[where, ...others].join(' and to ')}`, { hint: `name the group, one of ${found.map(({ name }) => name).join(', ')}, or ${option} REPOSITORY` });
  return { where, groups: found.map(({ name }) => name) };
}

/** What to do where no repository was named. */
export const naming = (option: PlaceOption): string => `${option} FOLDER, ${option} s3://BUCKET/PREFIX, or PGORBIT_BACKUPS names where the backups are`;
