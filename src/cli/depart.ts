/**
 * A standby becomes a cluster of its own, or what is left of one that has lost its majority. First its agent promotes it and
 * gives its data the new cluster's mark: from then on the old cluster can't have it. Then the new cluster begins with those
 * data, and the old one forgets the member. Each step finds what an interrupted attempt did.
 */
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Departure, MemberStatus, StatusDocument } from '../agent/api.ts';
import { makeHostFolders } from '../agent/folders.ts';
import { exists } from '../durable.ts';
import { PgorbitError } from '../errors.ts';
import { memberDir } from '../home.ts';
import { removeMember } from '../manifest/edit.ts';
import { readCluster } from './admin.ts';
import type { Context } from './context.ts';
import { editManifest } from './edit.ts';
import { readSpec } from './manifest.ts';
import { leftOut, offspringManifest } from './plan/offspring.ts';
import { isClusterName } from './plan/select.ts';
import { readPresent } from './present.ts';
import { formatBytes } from './print/units.ts';
import { reconcile } from './reconcile.ts';
import { findMember, type MemberHere } from './member-here.ts';

/** What is left to replay, and a checkpoint of a large cache. */
const PART_MS = 3_600_000;
/** The old cluster has nothing to do but drop a slot. */
const FORGET_MS = 60_000;

export interface Departed {
  cluster: string;
  member: string;
  point: Departure['parted']['point'];
  status: StatusDocument | null;
  /** The old cluster knows that the member has left. */
  forgotten: boolean;
}

/** @throws `unsafe` without `force` while nobody answers for the old cluster, and as findMember and part do */
export async function depart(context: Context, wanted: string, options: { as: string | undefined; force: boolean }): Promise<Departed> {
  const here = await findMember(context, wanted);
  try {
    const { spec, group, member, status, agent } = here;
    const name = options.as ?? `${spec.cluster}-${member.name}`;
    if (member.role !== 'standby' && options.as === undefined) {
      throw new PgorbitError('unsafe', `nobody leads cluster ${spec.cluster}: too few of its agents answer, so nobody can be promoted in it`, {
        hint: `\`pgorbit up\` starts the agents of this machine; if the other hosts are lost for good: pgorbit promote ${member.name} --as NAME --force makes ${member.name} a cluster of its own`,
      });
    }
    await check(context, here, name, options.force);
    context.background = `Run the same command again: it goes on where it ended. \`pgorbit status --cluster ${name}\` shows how far the new cluster is.`;
    context.progress.step(`promote ${member.name}, and cut it from ${spec.cluster}`);
    const departure = await agent.call('POST /v1/part', { group: group.name, member: member.name, owner: { cluster: name, clusterId: here.owner?.clusterId ?? randomUUID() } }, { signal: context.signal, timeoutMs: context.timeoutMs ?? PART_MS });
    const { parted: { owner, point } } = departure;
    context.progress.done(`up to ${point.lsn} of timeline ${point.timeline}`);
    for (const setting of leftOut(group)) context.progress.warn(`${setting} is not taken over: an archive is one cluster's alone`);

    const path = departure.inHome ? null : departure.dir;
    const dir = departure.inHome ? await moveHome(context, departure.dir, { cluster: name, host: member.host, group: group.name, member: member.name }) : departure.dir;
    const text = offspringManifest({ cluster: name, of: spec, group, member, major: await majorOf(dir), path });
    const input = { text, shown: `the manifest of cluster ${name}`, source: null, baseDir: context.cwd };
    const outcome = await reconcile(context, {
      input, spec: readSpec(input), demo: null, command: `promote ${member.name}`, dryRun: false, restart: false, revision: null, edited: false,
      adopt: { clusterId: owner.clusterId, secrets: departure.secrets },
    });
    const forgotten = status !== null && (await forget(context, spec.cluster, group.name, member.name));
    return { cluster: name, member: member.name, point, status: outcome.status, forgotten };
  } finally {
    here.agent.close();
  }
}

async function check(context: Context, { spec, group, member, status, owner }: MemberHere, name: string, force: boolean): Promise<void> {
  if (!isClusterName(name)) throw new PgorbitError('usage', `${JSON.stringify(name)} is no name for a cluster`, { hint: 'letters, digits and hyphens: `--as NAME`' });
  if (name === spec.cluster) throw new PgorbitError('usage', `${name} is the cluster that it leaves`, { hint: 'another name: `--as NAME`' });
  if (owner !== null && owner.cluster !== name) throw new PgorbitError('unsafe', `${member.name} became the cluster ${owner.cluster} before`, { hint: `to see that through: pgorbit promote ${member.name} --as ${owner.cluster}` });
  const there = await readCluster(context.home, name);
  if (there !== null && there.clusterId !== owner?.clusterId) throw new PgorbitError('other-cluster', `there is a cluster ${name} already`, { hint: 'another name: `--as NAME`' });
  // Nobody else's folder; what an interrupted attempt put there is known by its owner.
  if (there === null && owner === null) await readPresent(context, name);
  if (owner !== null) return;
  if (status === null) {
    const lacks = group.commit === 'quorum' && member.role !== 'standby' ? `what ${member.name} has not received, acknowledged or not,` : `what ${member.name} has not received`;
    if (force) return context.progress.warn(`nobody answers for cluster ${spec.cluster}: ${lacks} is lost; see to it that ${spec.cluster} accepts no more writes`);
    throw new PgorbitError('unsafe', `nobody answers for cluster ${spec.cluster}: it may go on without being seen from here, and ${lacks} would be lost`, {
      hint: `if ${spec.cluster} is lost: pgorbit promote ${member.name} --as ${name} --force`,
    });
  }
  const found: MemberStatus | undefined = status.groups.find((one) => one.name === group.name)?.members.find((one) => one.name === member.name);
  if ((found?.lagBytes ?? 0) > 0) context.progress.note(`${member.name} lacks ${formatBytes(found?.lagBytes ?? 0)} of WAL at the moment`);
}

/** From the old cluster's home to the new one's, which is on the same file system. @returns the folder */
async function moveHome(context: Context, from: string, to: { cluster: string; host: string; group: string; member: string }): Promise<string> {
  const homeDir = memberDir(context.home, to.cluster, to.host, to.group, to.member);
  const dir = join(homeDir, 'storage');
  if (await exists(dir)) return dir;
  await makeHostFolders(context.home, to.cluster, to.host);
  await mkdir(homeDir, { recursive: true, mode: 0o755 });
  for (let folder = homeDir; folder.endsWith(to.member) || folder.endsWith(to.group) || folder.endsWith('members'); folder = dirname(folder)) await chmod(folder, 0o755);
  await rename(from, dir);
  return dir;
}

/** The major version that the data are of. */
async function majorOf(dir: string): Promise<number> {
  return Number((await readFile(join(dir, 'data', 'PG_VERSION'), 'utf8')).trim());
}

/** Takes the member out of the old cluster's manifest. False when that has to be done by hand. */
async function forget(context: Context, cluster: string, group: string, member: string): Promise<boolean> {
  try {
    await editManifest(context, { cluster, command: `promote ${member}`, timeoutMs: FORGET_MS }, ({ text }) => removeMember(text, group, member));
    return true;
  } catch (error) {
    if (!(error instanceof PgorbitError)) throw error;
    if (error.code === 'no-such-member') return true;
    context.progress.warn(`${cluster} could not be told that ${member} has left: ${error.message}`);
    return false;
  }
}
