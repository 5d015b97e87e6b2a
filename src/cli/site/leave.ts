/** A standby site that will be gone tells the other one, where its slot would keep WAL for ever. */
import { PgorbitError } from '../../errors.ts';
import { isLeaderless, withCluster } from '../cluster.ts';
import type { Context } from '../context.ts';

export async function takeLeave(context: Context, name: string): Promise<void> {
  try {
    await withCluster(context, async (cluster) => {
      if (await isLeaderless(context.home, cluster.file)) return;
      const { site } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
      // A primary site that goes is for the other one's people to judge: it begins to write when they say so.
      if (site?.role !== 'standby') return;
      const { told, peer } = await cluster.call('POST /v1/site/detach', { leaving: true }, { signal: context.signal });
      if (!told) context.progress.warn(`${peer} could not be told, and keeps WAL for this site: pgorbit site detach --cluster ${peer} --yes`);
    }, name);
  } catch (error) {
    if (!(error instanceof PgorbitError)) throw error;
    // A half-made cluster, or one whose agents are gone, is destroyed all the same.
    context.progress.note(`whether there is another site to be told could not be asked: ${error.message}`);
  }
}
