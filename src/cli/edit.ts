/** Commands that change the manifest: its text is edited, comments and all, and then applied like any other. */
import type { StatusDocument } from '../agent/api.ts';
import { PgorbitError } from '../errors.ts';
import type { ClusterSpec } from '../group/model.ts';
import { readApplied } from './admin.ts';
import { withCluster } from './cluster.ts';
import type { Context } from './context.ts';
import { readSpec, shownPath } from './manifest.ts';
import { reconcile } from './reconcile.ts';
import type { Outcome } from './wish.ts';

export interface Current {
  text: string;
  spec: ClusterSpec;
  status: StatusDocument;
}

export interface EditOptions {
  /** The cluster, where it is not the one that the command line names. */
  cluster?: string;
  /** For the lock: `add replica`. */
  command: string;
  restart?: boolean;
  /** How long to wait where the person says nothing, ms. */
  timeoutMs?: number;
  /** Hosts that are to join from another machine. */
  invited?: readonly string[];
}

/** Edits the manifest in force with `edit` and waits until the cluster is what it says. */
export async function editManifest(context: Context, options: EditOptions, edit: (current: Current) => string): Promise<Outcome> {
  const { name, revision, current } = await withCluster(context, async (cluster) => {
    const answer = await cluster.call('GET /v1/cluster', {}, { signal: context.signal });
    if (answer.document === null) throw new PgorbitError('operation-failed', `cluster ${cluster.name} is not set up yet`, { hint: 'run `pgorbit up` to finish it' });
    const status = await cluster.call('GET /v1/status', {}, { signal: context.signal });
    return { name: cluster.name, revision: answer.revision, current: { text: answer.document.manifest, spec: answer.document.spec, status } };
  }, options.cluster);
  const applied = await readApplied(context.home, name);
  const input = { text: edit(current), shown: 'the manifest', edited: true as const, source: applied?.source ?? null, baseDir: applied?.baseDir ?? context.cwd };
  const outcome = await reconcile(context, {
    input, spec: readSpec(input), demo: null, command: options.command, dryRun: false, restart: options.restart ?? true, revision, edited: true, invited: options.invited ?? [],
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  });
  tellFile(context, outcome);
  return outcome;
}

/** Says whether the user's file was kept in step. */
function tellFile(context: Context, { file, changes }: Outcome): void {
  if (file === null || changes.length === 0) return;
  const shown = shownPath(file.path, context.cwd);
  if (file.updated) context.progress.note(`${shown} was changed to match`);
  else context.progress.warn(`${shown} has been edited since it was applied, or can't be written: it was left alone. Make the same change there, or the next \`pgorbit up ${shown}\` undoes it`);
}
