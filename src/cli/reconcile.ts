/**
 * From a manifest to a cluster that is what it says: the one way in which `up` and every command that edits the
 * manifest change a cluster. Everything that can be refused is refused before the first change.
 */
import { PgorbitError } from '../errors.ts';
import { clusterDir } from '../home.ts';
import { diffSpecs, formatChanges, type Change } from '../manifest/diff.ts';
import { notesOn } from '../manifest/notes.ts';
import { Interrupted, type Context } from './context.ts';
import { carryOut } from './carry-out.ts';
import { lockHolder, takeLock } from './lock.ts';
import { planAgents } from './plan/agents.ts';
import { keepMajor } from './plan/major.ts';
import { ownAddresses } from './machine.ts';
import { keepPorts, withAgentPorts } from './plan/ports.ts';
import { alignRoles, refuseRemovedPrimary } from './plan/roles.ts';
import { remoteHosts } from './plan/where.ts';
import { preflight } from './preflight.ts';
import { readPresent, specInForce } from './present.ts';
import { checkFounding, withOthersMajor } from './site/found.ts';
import type { Outcome, Plan, Wish } from './wish.ts';

/** Longer than anything but a large `copy` takes. */
const DEFAULT_TIMEOUT_MS = 300_000;

export async function reconcile(context: Context, wish: Wish): Promise<Outcome> {
  const { cluster } = wish.spec;
  context.progress.step('check');
  const holder = await lockHolder(clusterDir(context.home, cluster));
  if (holder !== null && !wish.dryRun) {
    throw new PgorbitError('locked', `\`pgorbit ${holder.command}\` is changing cluster ${cluster} just now (process ${holder.pid})`, { hint: 'wait until it has ended and try again' });
  }
  const plan = await check(context, wish);
  context.progress.done();
  if (plan.changes.length > 0) context.out.text(formatChanges(plan.changes));
  else if (wish.dryRun) context.out.text(`Cluster ${cluster} is what the manifest asks for: nothing to change.\n`);
  if (wish.dryRun) return { changes: plan.changes, status: null, file: null };
  if (context.signal.aborted) throw new Interrupted();

  const lock = await takeLock(clusterDir(context.home, cluster), wish.command);
  try {
    context.background = 'What was begun stays as it is; run `pgorbit up` again and it goes on from there.';
    return await carryOut(context, await unchanged(context, plan), context.deadline(wish.timeoutMs ?? DEFAULT_TIMEOUT_MS));
  } finally {
    await lock.release();
  }
}

async function check(context: Context, wish: Wish): Promise<Plan> {
  const present = await readPresent(context, wish.spec.cluster, wish.adopt !== undefined);
  if (wish.revision !== null && wish.revision !== present.revision) throw changedMeanwhile(wish.spec.cluster);
  const agents = [...(present.file?.agents ?? []), ...(present.file?.remote ?? [])];
  const before = withAgentPorts(specInForce(present), agents);
  const invited = [...(wish.invited ?? []), ...(present.hosts?.tokens ?? []).map((token) => token.host)];
  const remote = remoteHosts(wish.spec, { file: present.file, invited, own: await ownAddresses(Object.values(wish.spec.hosts).map((host) => host.address), context.env) });
  // Until something is applied, an agent's port is no more than a choice that may be made again.
  const open = keepPorts(before, wish.spec, before === null ? [] : agents);
  const spec = before === null ? await withOthersMajor(context, open) : keepMajor(before, open);
  const primaries = Object.fromEntries((present.status?.groups ?? []).map((group) => [group.name, group.primary]));
  refuseRemovedPrimary(spec, primaries);
  planAgents(present.file, before, spec, remote);
  const running = Number.parseInt(present.status?.groups[0]?.engine?.replace(/^\D*/, '') ?? '', 10);
  const changes = diffSpecs(before === null ? null : alignRoles(before, spec, primaries), spec, Number.isNaN(running) ? null : running);
  refuse(changes);

  const idle = before !== null && changes.length === 0 && Object.keys(spec.hosts).every((host) => remote.includes(host) || present.running.includes(host));
  if (!idle) {
    const { engine, notes } = await preflight({
      home: context.home,
      clusterId: present.file?.clusterId ?? wish.adopt?.clusterId ?? null,
      before,
      after: spec,
      running: present.running,
      remote,
      mountedLater: [...present.made.images.map((image) => image.path), ...(wish.demo === null ? [] : [wish.demo.path])],
    });
    if (before === null) await checkFounding(context, spec, engine.major);
    context.progress.note(`engine: PostgreSQL ${engine.version} in ${engine.bin}`);
    for (const note of wish.demo === null ? notes : [`volume: ${wish.demo.why}`]) context.progress.note(note);
    for (const note of notesOn(spec)) context.progress.note(note);
  }
  return { wish, spec, changes, present, remote };
}

/** Throws `unsafe` with every change that can't be made in place; nothing was changed then. */
function refuse(changes: readonly Change[]): void {
  const refused = changes.filter((change) => change.refused !== null);
  if (refused.length === 0) return;
  const primary = refused.length === 1 && refused[0]?.op === '-' && refused[0].kind === 'member';
  throw new PgorbitError(primary ? 'remove-primary' : 'unsafe', `${refused.length === 1 ? 'a change' : `${refused.length} changes`} can't be made in place; nothing was changed\n${formatChanges(refused).trimEnd()}`);
}

/** Between the check and the lock another `up` may have ended: then what was checked no longer holds. */
async function unchanged(context: Context, plan: Plan): Promise<Plan> {
  const now = await readPresent(context, plan.spec.cluster, plan.wish.adopt !== undefined);
  if (now.file?.clusterId === plan.present.file?.clusterId && (now.revision === plan.present.revision || plan.present.revision === null)) return plan;
  throw changedMeanwhile(plan.spec.cluster);
}

const changedMeanwhile = (cluster: string): PgorbitError =>
  new PgorbitError('state-conflict', `cluster ${cluster} was changed by another command just now`, { hint: 'look at `pgorbit status`, and try again' });
