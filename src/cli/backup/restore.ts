/** `pgorbit restore`: from a backup to a cluster that runs. */
import { chmod, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BackupInfo } from '../../backup/info.ts';
import type { SystemFolder } from '../../backup/repository.ts';
import { checkRestorable, restoreData } from '../../backup/restore/restore.ts';
import { settleCopy } from '../../backup/restore/settle.ts';
import { type Target, describeTarget } from '../../backup/restore/target.ts';
import type { Verdict } from '../../backup/verify.ts';
import { findEngine } from '../../engine/find.ts';
import { postgresOsUser } from '../../engine/osuser.ts';
import type { ClusterSpec, SecretsDocument } from '../../group/model.ts';
import { placeOf } from '../../group/member/place.ts';
import type { Marker } from '../../volume/marker.ts';
import { writeMarker } from '../../volume/marker.ts';
import { openVolume } from '../../volume/volume.ts';
import { Interrupted, type Context } from '../context.ts';
import { drawSecrets } from '../identity.ts';
import { readSpec, type ManifestInput } from '../manifest.ts';
import { formatBytes } from '../print/units.ts';
import { reconcile } from '../reconcile.ts';
import type { Outcome } from '../wish.ts';
import { restoredManifest } from './restored.ts';
import { clearHalfRestored, forgetRestoring, isHalfRestored, makeWay, markRestoring } from './restoring.ts';

export interface RestoreWish {
  system: SystemFolder;
  info: BackupInfo;
  target: Target;
  cluster: string;
  port: number | null;
}

/** Everything that can be refused is refused before anything is made; what fails later leaves no cluster behind. */
export async function restoreAs(context: Context, wish: RestoreWish): Promise<Outcome> {
  const { info, target, cluster } = wish;
  const input: ManifestInput = { text: restoredManifest({ ...wish, target: describeTarget(target) }), shown: 'the manifest of the restored cluster', edited: true, source: null, baseDir: context.home };
  const spec = readSpec(input);
  await makeWay(context, cluster);
  context.progress.step(`check backup ${info.label}`);
  const verdict = await checkRestorable(wish.system, info, target, {
    signal: context.signal, onProgress: (done, total) => context.progress.detail(`${formatBytes(done)} of ${formatBytes(total)}`),
  });
  context.progress.done();
  const secrets = drawSecrets();
  try {
    const outcome = await reconcile(context, {
      input, spec, demo: null, command: 'restore', dryRun: false, restart: true, revision: null, edited: false,
      founding: { secrets, begin: () => markRestoring(context.home, cluster, info.label), prepare: (clusterId) => makeData(context, wish, { spec, verdict, secrets, clusterId }) },
    });
    await forgetRestoring(context.home, cluster);
    return outcome;
  } catch (error) {
    if (await isHalfRestored(context.home, cluster)) await clearHalfRestored(context, cluster);
    else await forgetRestoring(context.home, cluster);
    if (context.signal.aborted) throw new Interrupted();
    throw error;
  }
}

interface Making {
  spec: ClusterSpec;
  verdict: Verdict;
  secrets: SecretsDocument;
  clusterId: string;
}

/** The first member's data, whole and marked as its own: its agent finds them and starts them. */
async function makeData(context: Context, wish: RestoreWish, { spec, verdict, secrets, clusterId }: Making): Promise<void> {
  const { system, info, target } = wish;
  const { home, progress } = context;
  const group = Object.values(spec.groups)[0]!;
  const member = Object.values(group.members)[0]!;
  const place = placeOf({ home, volume: null, own: null, cluster: spec.cluster, clusterId, group: group.name, member: member.name, host: member.host });
  const engine = await findEngine(spec.engine, home);
  const user = await postgresOsUser();
  await mkdir(join(place.homeDir, 'log'), { recursive: true });
  await mkdir(dirname(place.dir), { recursive: true, mode: 0o755 });
  const marker: Marker = { format: 1, clusterId, cluster: spec.cluster, group: group.name, member: member.name, incarnation: 0, term: 0, systemIdentifier: null, madeAt: new Date().toISOString() };
  await (await openVolume(dirname(place.dir), 'copy')).createMember(place.dir, marker);
  await chmod(place.dir, 0o755);
  const bytes = formatBytes(verdict.lineage.reduce((sum, one) => sum + one.info.bytes, 0));
  progress.step(verdict.lineage.length === 1 ? `copy ${info.label} (${bytes})` : `combine ${info.label} with what it builds on (${bytes} in ${verdict.lineage.length} backups)`);
  let replaying = false;
  await restoreData({
    system, verdict, target, engine, user, dir: place.dir, logFile: place.logFile, superuser: secrets.agent.user, signal: context.signal,
    settle: async (connect) => {
      const disabled = await settleCopy(connect, secrets);
      if (disabled.length > 0) progress.warn(`subscriptions were disabled, because their publishers would take this cluster for the original: ${disabled.join(', ')}`);
    },
    onProgress: ({ step, done, total }) => {
      if (step === 'replay' && !replaying) progress.step(`replay WAL to ${describeTarget(target)}`);
      replaying = step === 'replay';
      progress.detail(replaying ? `${done} of ${total} segments` : `${Math.floor((100 * done) / Math.max(1, total))} %`);
    },
  });
  progress.done();
  await writeMarker(place.dir, { ...marker, incarnation: 1, systemIdentifier: info.systemIdentifier });
}
