/**
 * A new cluster begins as the standby site of another: the two exchange certificates, the new one takes over the other's
 * accounts, as its data will have them, and notes down what it is before it has any manifest in force. May be repeated.
 */
import type { ClusterDocument } from '../../agent/api.ts';
import { authorityFrom, certifySite } from '../../agent/identity/ca.ts';
import { makeKey, makeRequest, publicKeyOf } from '../../agent/identity/request.ts';
import { findEngine } from '../../engine/find.ts';
import { PgorbitError } from '../../errors.ts';
import type { ClusterSpec, SecretsDocument } from '../../group/model.ts';
import { adminDir } from '../../home.ts';
import { addressesOf, newSite, siteFollowerName, type SiteDocument } from '../../site/document.ts';
import type { ClusterFile } from '../admin.ts';
import { withCluster } from '../cluster.ts';
import type { Context } from '../context.ts';
import { ownAuthority } from '../identity.ts';

/** The major version in "PostgreSQL 18.4 (embedded)", or null. */
const majorOf = (engine: string | null): number | null => {
  const major = Number.parseInt((engine ?? '').replace(/^\D*/, ''), 10);
  return Number.isNaN(major) ? null : major;
};

/**
 * Where the manifest leaves the version open, a standby site runs the major that the other one runs, for it will have that one's files.
 * Unchanged where this machine has none of that major: checkFounding says what is to be done. @throws as checkFounding
 */
export async function withOthersMajor(context: Context, spec: ClusterSpec): Promise<ClusterSpec> {
  const { standbyOf, engine } = spec;
  if (standbyOf === undefined || engine.version !== null || engine.bin !== null) return spec;
  const version = await ofOther(context, standbyOf, async (_, running) => majorOf(running));
  if (version === null) return spec;
  try {
    await findEngine({ ...engine, version }, context.home);
  } catch (error) {
    if (error instanceof PgorbitError && error.code === 'engine-missing') return spec;
    throw error;
  }
  context.progress.note(`${standbyOf} runs PostgreSQL ${version}, and so does ${spec.cluster}`);
  return { ...spec, engine: { ...engine, version } };
}

/**
 * Before anything is made: is there such a cluster, and can this one be a copy of it?
 * @param major the version that this cluster would run. @throws `no-such-cluster`, `agent-unreachable`, `unsafe`, `operation-failed`
 */
export async function checkFounding(context: Context, spec: ClusterSpec, major: number): Promise<void> {
  const { standbyOf } = spec;
  if (standbyOf === undefined) return;
  await ofOther(context, standbyOf, async (document, engine) => {
    const there = Object.keys(document.spec.groups);
    const unknown = Object.keys(spec.groups).find((name) => !there.includes(name));
    if (unknown !== undefined) throw new PgorbitError('unsafe', `cluster ${standbyOf} has no group ${unknown} to be copied`, { hint: `its groups: ${there.join(', ')}` });
    for (const name of there.filter((one) => spec.groups[one] === undefined)) context.progress.warn(`group ${name} of ${standbyOf} is not copied: ${spec.cluster} can't take over from it`);
    const other = majorOf(engine);
    if (other !== null && other !== major) throw new PgorbitError('unsafe', `${standbyOf} runs PostgreSQL ${other}, ${spec.cluster} would run ${major}: the files of one are not readable for the other`, { hint: `engine: { version: ${other} }` });
  });
}

async function ofOther<T>(context: Context, name: string, look: (document: ClusterDocument, engine: string | null) => Promise<T>): Promise<T> {
  return withCluster(context, async (cluster) => {
    const { document } = await cluster.call('GET /v1/cluster', {}, { signal: context.signal });
    if (document === null) throw new PgorbitError('operation-failed', `cluster ${name} is not set up yet`, { hint: 'run `pgorbit up` to finish it' });
    const { groups } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
    return look(document, groups[0]?.engine ?? null);
  }, name).catch((error: unknown) => {
    if (!(error instanceof PgorbitError) || error.code !== 'no-such-cluster') throw error;
    throw new PgorbitError('no-such-cluster', `there is no cluster ${name} in ${context.home}, of which a standby is asked for`, { hint: `\`pgorbit login\` with a token of ${name} (\`pgorbit host admin-token\` there)`, cause: error });
  });
}

/** Registers the new cluster with the other one. @returns what is to be its first state. */
export async function foundSite(context: Context, spec: ClusterSpec, file: ClusterFile): Promise<{ secrets: SecretsDocument; site: SiteDocument }> {
  const { standbyOf } = spec;
  const own = await ownAuthority(adminDir(context.home, file.cluster));
  if (standbyOf === undefined || own === null) throw new PgorbitError('state-corrupt', `the authority of cluster ${file.cluster} is not here, where the cluster is made`);
  const keys = { here: makeKey(), there: makeKey() };
  const cert = await certifySite(authorityFrom(own.cert, own.key), standbyOf, publicKeyOf(keys.there));
  const answer = await withCluster(context, (cluster) => cluster.call('POST /v1/site/admit', {
    request: makeRequest(siteFollowerName(file.cluster), keys.here),
    peer: { cluster: file.cluster, clusterId: file.clusterId, agents: [...file.agents, ...file.remote], addresses: addressesOf(spec.hosts), ca: own.cert, cert, key: keys.there },
  }, { signal: context.signal }), standbyOf);
  const { epoch, secrets, ...peer } = answer;
  return { secrets, site: newSite('standby', { ...peer, key: keys.here }, epoch) };
}
