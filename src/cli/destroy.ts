/**
 * Removes a cluster: only what bears its id, or what it noted down before making it. What others put beside it stays,
 * and is told. Repeatable: cluster.json goes last, and a mark that outlives it says that the cluster is going.
 */
import { lstat, readdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { agentConfigFile, type AgentConfig } from '../agent/config.ts';
import { findCgroup } from '../engine/cgroup.ts';
import { removeEngines } from '../engine/embedded.ts';
import { postgresOsUser, type OsUser } from '../engine/osuser.ts';
import { reach, release } from '../engine/reach.ts';
import { errnoOf, PgorbitError, toReport } from '../errors.ts';
import type { ClusterSpec } from '../group/model.ts';
import { placeOf } from '../group/member/place.ts';
import { adminDir, clusterDir, enginesDir, hostDir, manifestFile } from '../home.ts';
import { destroyImage } from '../volume/image.ts';
import { readImageRecord } from '../volume/image-record.ts';
import { readMarker } from '../volume/marker.ts';
import { folderOfLeftover } from '../volume/member-folder.ts';
import { releaseBallast } from '../volume/space.ts';
import { openVolume, type Volume } from '../volume/volume.ts';
import { listClusters, readApplied, readCluster, readMade, type ClusterFile } from './admin.ts';
import type { Context, Deadline } from './context.ts';
import { readJson, readText, writeJson } from './files.ts';
import { ownFolders, storageOf } from './plan/storage.ts';
import { memberDirs, names, ownDirs, stopCluster } from './stop.ts';

const goingFile = (home: string, cluster: string): string => join(adminDir(home, cluster), 'destroying.json');

/** Was a destroy of the cluster begun and not finished? */
export const isGoing = async (home: string, cluster: string): Promise<boolean> => (await readText(goingFile(home, cluster))) !== null;

/** For a new cluster of the same name. */
export const forgetGoing = (home: string, cluster: string): Promise<void> => rm(goingFile(home, cluster), { force: true });

/** Returns what was left because pgorbit did not make it, one sentence each. */
export async function destroyCluster(context: Context, cluster: string, deadline: Deadline): Promise<string[]> {
  const { home, progress } = context;
  const file = await readCluster(home, cluster);
  if (file === null) throw new PgorbitError('no-such-cluster', `there is no cluster ${cluster} in ${home}`);
  const spec = (await readApplied(home, cluster))?.spec ?? null;
  const made = await readMade(home, cluster);
  const kept: string[] = [];
  await writeJson(goingFile(home, cluster), { since: new Date().toISOString() });
  progress.step('stop members and agents');
  await stopCluster(context, file, spec, deadline, true);
  for (const { host } of file.remote) kept.push(`what the members on host ${host} stored there: delete PGORBIT_HOME/${cluster} on its machine, and the folders on its volumes`);
  progress.step('remove data directories');
  const volumes = [...new Set([...Object.values(spec?.volumes ?? {}).map((volume) => volume.path), ...made.images.map((image) => image.path)])];
  for (const volume of volumes) await clearVolume(volume, file, kept);
  for (const folder of spec === null ? [] : ownFolders(spec)) await clearOwn(folder, file, kept);
  if (spec !== null) await clearPlaces(home, file, spec);
  const user = await postgresOsUser();
  // Bind mounts that let PostgreSQL's user in, before what they show goes.
  const hosts = (await names(clusterDir(home, cluster))).map((host) => join(hostDir(home, cluster, host), 'members'));
  for (const path of [...volumes, ...hosts, clusterDir(home, cluster)]) if (await exists(path)) await release(path, user);
  for (const image of made.images) {
    progress.step(`remove the image volume ${image.file}`);
    await clearImage(image, kept);
  }
  progress.step('remove settings and certificates');
  for (const folder of made.folders) await removeEmpty(folder, kept);
  // Before cluster.json goes: interrupted after that, no destroy would come back for them.
  await clearEngines(home, cluster, user);
  await clearHome(home, file, kept);
  // Again, for two last clusters that go side by side.
  await clearEngines(home, cluster, user);
  progress.done();
  return kept;
}

async function clearVolume(path: string, file: ClusterFile, kept: string[]): Promise<void> {
  if (!(await exists(path))) return;
  await clearMembers(await openVolume(path, 'auto'), await memberDirs(path, file.cluster), file, kept);
  for (const group of await names(join(path, file.cluster))) await removeEmpty(join(path, file.cluster, group), kept);
  await removeEmpty(join(path, file.cluster), kept);
  if ((await readdir(path)).every((name) => name === 'lost+found' || name.startsWith('.pgorbit-'))) await releaseBallast(path);
}

/** A member's own folder, and what was set aside or left half made beside it. */
async function clearOwn(folder: string, file: ClusterFile, kept: string[]): Promise<void> {
  const dirs = await ownDirs(folder);
  if (dirs.length > 0) await clearMembers(await openVolume(dirname(folder), 'auto'), dirs, file, kept);
}

async function clearMembers(volume: Volume, dirs: readonly string[], file: ClusterFile, kept: string[]): Promise<void> {
  for (const dir of dirs) {
    // What an interrupted step left is cleared together with the folder it was for.
    const own = folderOfLeftover(dir) ?? dir;
    try {
      const marker = own === dir ? await readMarker(dir) : null;
      if (marker !== null && marker.clusterId !== file.clusterId) kept.push(`${dir} belongs to another cluster (${marker.cluster}, id ${marker.clusterId})`);
      else await volume.removeMember(own);
    } catch (error) {
      const report = toReport(error);
      if (report.code !== 'not-ours') throw error;
      kept.push(report.message);
    }
  }
}

/** Sockets that had to lie elsewhere, and the members' cgroups. */
async function clearPlaces(home: string, file: ClusterFile, spec: ClusterSpec): Promise<void> {
  const reached = await reach(home, await postgresOsUser());
  for (const group of Object.values(spec.groups)) {
    for (const member of Object.values(group.members)) {
      const place = placeOf({ home: reached, ...storageOf(spec, group, member), cluster: file.cluster, clusterId: file.clusterId, group: group.name, member: member.name, host: member.host });
      if (!place.socketDir.startsWith(place.homeDir)) await rm(place.socketDir, { recursive: true, force: true });
      const cgroup = await findCgroup(place.cgroupOf(member.name));
      if (cgroup !== null && !(await cgroup.populated())) await cgroup.remove();
    }
  }
}

async function clearImage(image: { path: string; file: string }, kept: string[]): Promise<void> {
  if ((await readImageRecord(image.file)) === null) return;
  const foreign = (await readdir(image.path).catch(() => [])).filter((name) => name !== 'lost+found' && !name.startsWith('.pgorbit-'));
  if (foreign.length === 0) return destroyImage(image.file);
  kept.push(`${image.file}, mounted on ${image.path}, because it holds ${foreign.join(', ')}, which is not of this cluster`);
}

/** The cluster's folder; of each host's what an agent of this cluster made. cluster.json goes last. */
async function clearHome(home: string, file: ClusterFile, kept: string[]): Promise<void> {
  const top = clusterDir(home, file.cluster);
  for (const host of await names(top)) {
    const dir = hostDir(home, file.cluster, host);
    const config = await readJson<AgentConfig>(agentConfigFile(join(dir, 'agent'))).catch(() => null);
    if (dir === adminDir(home, file.cluster) || config?.clusterId !== file.clusterId) continue;
    await rm(join(dir, 'members'), { recursive: true, force: true });
    await rm(join(dir, 'agent'), { recursive: true, force: true });
    await removeEmpty(dir, kept);
  }
  await rm(manifestFile(home, file.cluster), { force: true });
  const admin = adminDir(home, file.cluster);
  for (const name of await readdir(admin)) if (name !== 'cluster.json' && name !== 'destroying.json') await rm(join(admin, name), { recursive: true, force: true });
  await rm(join(admin, 'cluster.json'), { force: true });
  await forgetGoing(home, file.cluster);
  await rmdir(admin);
  await rm(join(top, 'up.lock'), { force: true });
  await removeEmpty(top, kept);
}

/** The embedded PostgreSQL's copies, when no other cluster is left to run them. */
async function clearEngines(home: string, cluster: string, user: OsUser | null): Promise<void> {
  if ((await listClusters(home)).some((name) => name !== cluster) || !(await exists(enginesDir(home)))) return;
  await release(enginesDir(home), user);
  await removeEngines(home);
}

async function removeEmpty(dir: string, kept: string[]): Promise<void> {
  try {
    await rmdir(dir);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    if (errnoOf(error) === 'EBUSY') return void kept.push(`${dir}, on which something is mounted`);
    if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'EEXIST') throw error;
    // A folder below it that was kept says why already.
    if (kept.some((sentence) => sentence.startsWith(`${dir}/`) || sentence.startsWith(`${dirname(dir)}/`))) return;
    kept.push(`${dir}, because of ${(await readdir(dir)).join(', ')} in it`);
  }
}

const exists = (path: string): Promise<boolean> => lstat(path).then(() => true, () => false);
