/** Whose WAL a command means: a member of the cluster on this machine, or a folder. */
import { join, resolve } from 'node:path';
import { PgorbitError } from '../errors.ts';
import { placeOf } from '../group/member/place.ts';
import { listClusters } from './admin.ts';
import type { Context } from './context.ts';
import { isFolder } from './files.ts';
import { chooseMember } from './plan/names.ts';
import { chooseCluster } from './plan/select.ts';
import { storageOf } from './plan/storage.ts';
import { readPresent, specInForce } from './present.ts';

/** The folder with the segments. Throws `usage`, `no-such-member`, `host-unreachable` where it is not on this machine. */
export async function walFolder(context: Context, path: string | undefined, member: string | undefined): Promise<string> {
  if (path !== undefined && member !== undefined) throw new PgorbitError('usage', '--member names a member and PATH a folder: give one of the two');
  if (path !== undefined) return inside(resolve(context.cwd, path));
  if (member === undefined) throw new PgorbitError('usage', 'neither a member nor a folder was named', { hint: '`pgorbit wal ls --member n3`, or `pgorbit wal ls /path/to/pg_wal`' });
  return inside(await folderOf(context, member));
}

async function folderOf(context: Context, wanted: string): Promise<string> {
  const cluster = chooseCluster(await listClusters(context.home), context.wantedCluster, context.home);
  const present = await readPresent(context, cluster);
  const spec = specInForce(present);
  if (spec === null || present.file === null) throw new PgorbitError('operation-failed', `cluster ${cluster} is not set up yet`, { hint: 'run `pgorbit up` to finish it' });
  const groups = Object.values(spec.groups).map((group) => ({ name: group.name, spec: group, members: Object.values(group.members) }));
  const { group, member } = chooseMember(groups, wanted);
  const { dir } = placeOf({ home: context.home, ...storageOf(spec, group.spec, member), cluster, clusterId: present.file.clusterId, group: group.name, member: member.name, host: member.host });
  if (await isFolder(dir)) return dir;
  throw new PgorbitError('host-unreachable', `the WAL of ${member.name} is not on this machine: there is no ${dir}`, { hint: `run the command on host ${member.host} (${spec.hosts[member.host]?.address ?? ''}), or name a folder that holds a copy` });
}

/** The folder itself, or the one in it with the WAL: of a member, of a data directory, of a logger. */
async function inside(dir: string): Promise<string> {
  for (const below of ['data/pg_wal', 'pg_wal', 'data/wal', 'wal']) if (await isFolder(join(dir, below))) return join(dir, below);
  return dir;
}
