import { clusterDir } from '../../home.ts';
import { listClusters, readApplied, readCluster } from '../admin.ts';
import type { Define } from '../command.ts';
import { takeLock } from '../lock.ts';
import { chooseCluster } from '../plan/select.ts';
import { stopCluster } from '../stop.ts';

/** A shutdown writes every dirty page: minutes on a slow disk. */
const DEFAULT_TIMEOUT_MS = 300_000;

export const define: Define = (command, declare) => {
  declare(command, 'pgorbit down', async (context) => {
    const name = chooseCluster(await listClusters(context.home), context.wantedCluster, context.home);
    const file = await readCluster(context.home, name);
    if (file === null) return;
    const lock = await takeLock(clusterDir(context.home, name), 'down');
    try {
      context.background = 'Members that were told to stop go on stopping; run `pgorbit down` again to see it through.';
      context.progress.step(`stop cluster ${name}`);
      await stopCluster(context, file, (await readApplied(context.home, name))?.spec ?? null, context.deadline(DEFAULT_TIMEOUT_MS));
      context.progress.done();
    } finally {
      await lock.release();
    }
    context.out.text(`Cluster ${name} is stopped; its data stay. \`pgorbit up\` starts it again.\n`);
    context.out.document({ cluster: name, stopped: file.agents.map((agent) => agent.host) });
  });
};
