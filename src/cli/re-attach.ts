/**
 * What an old site has left becomes a standby of the cluster that went on without it: its data get this cluster's mark,
 * and its agent rewinds them, or copies them anew where that can't be done.
 */
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runningAgent } from '../agent/launch.ts';
import { exists } from '../durable.ts';
import { readControlFile } from '../engine/control.ts';
import { adoptPostgres } from '../engine/postmaster.ts';
import { SqlSession } from '../engine/sql.ts';
import { PgorbitError } from '../errors.ts';
import { placeOf } from '../group/member/place.ts';
import type { ClusterSpec, GroupSpec, MemberSpec } from '../group/model.ts';
import { agentDir, memberDir } from '../home.ts';
import { addMember } from '../manifest/edit.ts';
import { readMarker, writeMarker } from '../volume/marker.ts';
import { fetchSecrets } from './access.ts';
import { readApplied, readCluster, type ClusterFile } from './admin.ts';
import { withCluster } from './cluster.ts';
import type { Context } from './context.ts';
import { editManifest } from './edit.ts';
import { chooseGroup, nextHost, nextName } from './plan/names.ts';
import { storageOf } from './plan/storage.ts';
import type { Outcome } from './wish.ts';

export interface ReAttach {
  /** The old cluster, of this home. */
  old: string;
  /** Whose data are taken; undefined: those of whoever accepted writes last. */
  member: string | undefined;
  name: string | undefined;
  host: string | undefined;
  group: string | undefined;
}

const COPY_MS = 7 * 24 * 3_600_000;

/** A member of the old cluster with its data. */
interface Remains {
  group: GroupSpec;
  member: MemberSpec;
  dir: string;
  inHome: boolean;
  /** The term in its mark; that of data which accept writes counts more. */
  rank: number;
}

/**
 * @throws `unsafe` while the old cluster runs, or where its data are of another database system; `no-such-cluster`,
 * `no-such-member` where nothing of it is here
 */
export async function reAttach(context: Context, wish: ReAttach): Promise<{ name: string; from: string; outcome: Outcome }> {
  const file = await readCluster(context.home, wish.old);
  const spec = (await readApplied(context.home, wish.old))?.spec ?? null;
  if (file === null || spec === null) throw new PgorbitError('no-such-cluster', `there is no cluster ${wish.old} in ${context.home}`, { hint: 'run the command on the machine that has its data' });
  const remains = await choose(context, file, spec, wish.member);
  await refuseRunning(context, file, remains);
  const plan = await withCluster(context, async (cluster) => {
    if (cluster.name === wish.old) throw new PgorbitError('usage', `${wish.old} can't be a standby of itself`, { hint: '--cluster names the cluster that it is to follow' });
    const { document } = await cluster.call('GET /v1/cluster', {}, { signal: context.signal });
    const group = document?.spec.groups[chooseGroup(Object.keys(document.spec.groups), wish.group)];
    if (document === null || group === undefined) throw new PgorbitError('operation-failed', `cluster ${cluster.name} is not set up yet`, { hint: 'run `pgorbit up` to finish it' });
    const { groups } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
    const primary = groups.find((one) => one.name === group.name)?.members.find((one) => one.role === 'primary');
    if (primary === undefined) throw new PgorbitError('unsafe', `group ${group.name} of cluster ${cluster.name} has no primary to follow`, { hint: '`pgorbit status`' });
    await refuseForeign(remains, { address: primary.address, port: primary.port, ...(await fetchSecrets(cluster)).agent });
    const here = cluster.file.agents.map((agent) => agent.host);
    const host = wish.host ?? (here.includes(remains.member.host) ? remains.member.host : nextHost({ ...document.spec, hosts: Object.fromEntries(Object.entries(document.spec.hosts).filter(([name]) => here.includes(name))) }, group));
    if (!here.includes(host)) throw new PgorbitError('host-unreachable', `host ${host} is not this machine, where the data are`, { hint: `hosts of this machine: ${here.join(', ') || 'none; `pgorbit host add` names one'}` });
    const taken = Object.values(document.spec.groups).some((one) => Object.hasOwn(one.members, remains.member.name));
    return { cluster: cluster.name, clusterId: document.id, group: group.name, host, name: wish.name ?? (taken ? nextName(document.spec) : remains.member.name) };
  });
  context.progress.step(`take over the data of ${remains.member.name} of ${wish.old}`);
  const path = await take(context, remains, plan);
  context.progress.done();
  const outcome = await editManifest(context, { cluster: plan.cluster, command: 'standby follow', timeoutMs: COPY_MS }, ({ text }) =>
    addMember(text, plan.group, { name: plan.name, host: plan.host, role: 'standby', port: null, volume: null, path, source: null, rate: null }));
  return { name: plan.name, from: remains.member.name, outcome };
}

async function choose(context: Context, file: ClusterFile, spec: ClusterSpec, wanted: string | undefined): Promise<Remains> {
  const found: Remains[] = [];
  for (const group of Object.values(spec.groups)) {
    for (const member of Object.values(group.members)) {
      if (member.role === 'logger' || (wanted !== undefined && member.name !== wanted) || !file.agents.some((agent) => agent.host === member.host)) continue;
      const place = placeOf({ home: context.home, ...storageOf(spec, group, member), cluster: spec.cluster, clusterId: file.clusterId, group: group.name, member: member.name, host: member.host });
      const marker = await readMarker(place.dir);
      if (marker === null || marker.clusterId !== file.clusterId || marker.incarnation === 0) continue;
      const primary = !(await exists(join(place.dataDir, 'standby.signal')));
      found.push({ group, member, dir: place.dir, inHome: place.dir.startsWith(`${place.homeDir}/`), rank: marker.term + (primary ? 0.5 : 0) });
    }
  }
  const best = found.toSorted((a, b) => b.rank - a.rank)[0];
  if (best !== undefined) return best;
  throw new PgorbitError('no-such-member', `this machine has no data of ${wanted ?? 'any member'} of cluster ${spec.cluster}`, { hint: '`pgorbit add standby` copies the data afresh' });
}

async function refuseRunning(context: Context, file: ClusterFile, { dir, member }: Remains): Promise<void> {
  for (const { host } of file.agents) {
    if ((await runningAgent(agentDir(context.home, file.cluster, host))) === null) continue;
    throw new PgorbitError('unsafe', `cluster ${file.cluster} runs: it can't be made a standby of another while it may accept writes`, { hint: `pgorbit down --cluster ${file.cluster}` });
  }
  const postmaster = await adoptPostgres(join(dir, 'data'));
  postmaster?.release();
  if (postmaster !== null) throw new PgorbitError('unsafe', `${member.name} of cluster ${file.cluster} runs (process ${postmaster.id.pid})`, { hint: `pgorbit down --cluster ${file.cluster}` });
}

/** Data of another database system would be set aside and copied over: not by mistake. */
async function refuseForeign(remains: Remains, primary: { address: string; port: number; user: string; password: string }): Promise<void> {
  const own = (await readControlFile(join(remains.dir, 'data'))).systemIdentifier;
  const session = new SqlSession({ host: primary.address, port: primary.port, user: primary.user, password: primary.password });
  try {
    const rows = await session.query<{ id: string }>('select system_identifier::text as id from pg_control_system()');
    if (rows[0]?.id === own) return;
  } finally {
    await session.close();
  }
  throw new PgorbitError('unsafe', `the data of ${remains.member.name} are of another database system than those that it is to follow`, { hint: '`pgorbit add standby` copies the data into a folder of its own' });
}

/** Gives the data the cluster's mark, and moves them where they lie in the old cluster's home. @returns the member's `path` */
async function take(context: Context, { dir, inHome, member }: Remains, to: { cluster: string; clusterId: string; group: string; host: string; name: string }): Promise<string | null> {
  const { systemIdentifier } = await readControlFile(join(dir, 'data'));
  // Of the first incarnation: a standby begins with the second, so that these are put right before they are used.
  await writeMarker(dir, { format: 1, clusterId: to.clusterId, cluster: to.cluster, group: to.group, member: to.name, incarnation: 1, term: 0, systemIdentifier, madeAt: new Date().toISOString() });
  // A fence of the old cluster's terms says nothing in this one's.
  await rm(join(dir, 'fenced'), { force: true });
  if (!inHome) return dir;
  const homeDir = memberDir(context.home, to.cluster, to.host, to.group, to.name);
  const target = join(homeDir, 'storage');
  if (await exists(target)) throw new PgorbitError('unsafe', `${target} exists already: the data of ${member.name} stay where they are`, { hint: 'another name: --name' });
  await mkdir(homeDir, { recursive: true, mode: 0o755 });
  for (const folder of [homeDir, dirname(homeDir), dirname(dirname(homeDir))]) await chmod(folder, 0o755);
  await rename(dir, target);
  return null;
}
