import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { errnoOf, PgorbitError } from '../../errors.ts';
import { listClusters, readApplied, readCluster, readManifest } from '../admin.ts';
import type { Define } from '../command.ts';
import { withCluster } from '../cluster.ts';
import type { Context } from '../context.ts';
import { chooseDemoVolume, DEMO, demoInput } from '../demo.ts';
import { fetchSecrets } from '../access.ts';
import { destroyCluster, isGoing } from '../destroy.ts';
import { takeLock } from '../lock.ts';
import { clusterDir } from '../../home.ts';
import { readSpec, shownPath, type ManifestInput } from '../manifest.ts';
import { chooseCluster } from '../plan/select.ts';
import { endpointUri, withoutPassword } from '../plan/uri.ts';
import { formatMs } from '../print/units.ts';
import { renderWelcome } from '../print/welcome.ts';
import { reconcile } from '../reconcile.ts';

interface Options {
  dryRun?: boolean;
  restart?: boolean;
}

const DEFAULT_FILE = 'pgorbit.yaml';
const DESTROY_MS = 300_000;
/** Far above any manifest, far below what would be a mistake to read. */
const LARGEST = 1024 * 1024;

export const define: Define = (command, declare) => {
  command
    .argument('[manifest]', `the manifest (default: ./${DEFAULT_FILE}, else the cluster that is here already, else a demo)`)
    .option('--dry-run', 'print what would change, and change nothing')
    .option('--no-restart', 'leave members running that a changed setting wants restarted');
  declare<Options>(command, 'pgorbit up\npgorbit up shop.yaml --dry-run', async (context, [file], options) => {
    const started = performance.now();
    if (options.dryRun !== true) await finishDestroys(context);
    const { input, demo: first } = await chooseInput(context, file);
    const spec = readSpec(input);
    if (context.wantedCluster !== undefined && context.wantedCluster !== spec.cluster) {
      throw new PgorbitError('other-cluster', `${input.shown} describes the cluster ${spec.cluster}, not ${context.wantedCluster}`, { hint: 'leave out --cluster and PGORBIT_CLUSTER, or name the right manifest' });
    }
    const demo = first ? await chooseDemoVolume(join(context.home, `${DEMO}-volume`)) : null;
    const outcome = await reconcile(context, {
      input, spec, demo, command: 'up', dryRun: options.dryRun === true, restart: options.restart !== false, revision: null, edited: false, awaitHosts: true,
    });
    const { status, changes } = outcome;
    if (status === null) return context.out.document({ cluster: spec.cluster, dryRun: true, changes });
    const account = await withCluster(context, async (cluster) => (await fetchSecrets(cluster)).superuser, spec.cluster);
    const uris = status.groups.map((group) => {
      const uri = (endpoint: 'rw' | 'ro'): string => endpointUri(endpoint, group.members, { account, database: 'postgres' });
      // On a standby site nobody accepts writes.
      return { group: group.name, rw: status.site?.role === 'standby' ? null : uri('rw'), ro: uri('ro') };
    });
    // What goes into a pipe may become a log: no password there.
    const hidden = !context.out.isTerminal;
    const shown = hidden ? uris.map((one) => ({ ...one, rw: one.rw === null ? null : withoutPassword(one.rw), ro: withoutPassword(one.ro) })) : uris;
    context.out.text(renderWelcome({ status, took: formatMs(performance.now() - started), uris: shown, hidden }, context.style));
    context.out.document({ cluster: spec.cluster, changes, status, uris });
  });
};

/** A destroy that was killed half-way left a cluster that can't run: it is gone before anything new is made. */
async function finishDestroys(context: Context): Promise<void> {
  for (const name of await listClusters(context.home)) {
    if (!(await isGoing(context.home, name))) continue;
    const lock = await takeLock(clusterDir(context.home, name), 'up');
    try {
      context.progress.note(`cluster ${name} was being destroyed when that was interrupted: it is finished first`);
      for (const sentence of await destroyCluster(context, name, context.deadline(DESTROY_MS))) context.progress.note(`left as it is: ${sentence}`);
    } finally {
      await lock.release();
    }
  }
}

/** The manifest that is meant; `demo` for the first `up` of the demo. */
async function chooseInput(context: Context, file: string | undefined): Promise<{ input: ManifestInput; demo: boolean }> {
  if (file !== undefined) return { input: await readManifestFile(context, file), demo: false };
  const byDefault = join(context.cwd, DEFAULT_FILE);
  if ((await stat(byDefault).catch(() => null)) !== null) return { input: await readManifestFile(context, DEFAULT_FILE), demo: false };
  const clusters = await listClusters(context.home);
  if (clusters.length === 0 && (context.wantedCluster ?? DEMO) === DEMO) return { input: demoInput(context).input, demo: true };
  const name = chooseCluster(clusters, context.wantedCluster, context.home);
  const [text, applied] = await Promise.all([readManifest(context.home, name), readApplied(context.home, name)]);
  if (text === null || applied === null) {
    throw new PgorbitError('state-corrupt', `the manifest of cluster ${name} is missing in ${context.home}`, { hint: 'name the manifest: `pgorbit up FILE`', cause: await readCluster(context.home, name) });
  }
  return { input: { text, shown: `the manifest of cluster ${name}`, source: applied.source, baseDir: applied.baseDir }, demo: false };
}

async function readManifestFile(context: Context, file: string): Promise<ManifestInput> {
  const path = resolve(context.cwd, file);
  try {
    const found = await stat(path);
    if (found.isDirectory()) throw new PgorbitError('manifest-unreadable', `${file} is a folder`, { hint: `name the file in it: \`pgorbit up ${join(file, DEFAULT_FILE)}\`` });
    if (found.size > LARGEST) throw new PgorbitError('manifest-unreadable', `${file} has ${found.size} bytes: that is no manifest`);
    return { text: await readFile(path, 'utf8'), shown: shownPath(path, context.cwd), source: path, baseDir: dirname(path) };
  } catch (cause) {
    if (cause instanceof PgorbitError) throw cause;
    const why = errnoOf(cause) === 'ENOENT' ? 'there is no such file' : (cause as Error).message;
    throw new PgorbitError('manifest-unreadable', `the manifest ${file} can't be read: ${why}`, { hint: 'check the path; without one, `pgorbit up` makes a demo cluster', cause });
  }
}
