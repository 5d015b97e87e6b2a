import type { StatusDocument } from '../../agent/api.ts';
import type { Define } from '../command.ts';
import { isLeaderless, withCluster, type Cluster } from '../cluster.ts';
import type { Context } from '../context.ts';
import { PgorbitError } from '../../errors.ts';
import { sleep } from '../../lifecycle.ts';
import { readLocalStatus } from '../local-status.ts';
import { renderStatus } from '../print/status.ts';

/** Often enough to see a switchover, rare enough to read. */
const REDRAW_MS = 1000;

export const define: Define = (command, declare) => {
  command.option('-w, --watch', 'show it anew every second until Ctrl-C');
  declare<{ watch?: boolean }>(command, 'pgorbit status\npgorbit status --json | jq .groups[].primary', async (context, _operands, options) => {
    if (options.watch === true && context.out.json) throw new PgorbitError('usage', '--watch shows a table again and again, and --json promises one document', { hint: 'call `pgorbit status --json` as often as you need it' });
    await withCluster(context, async (cluster) => {
      if (options.watch === true) return watch(context, cluster);
      const status = await statusOf(context, cluster);
      context.out.text(renderStatus(status, context.style));
      context.out.document(status);
    });
  });
};

/** What an agent says; when none can, what is known here without them. */
async function statusOf(context: Context, cluster: Cluster): Promise<StatusDocument> {
  if (await isLeaderless(context.home, cluster.file)) return readLocalStatus(context.home, cluster.file);
  try {
    return await cluster.call('GET /v1/status', {}, { signal: context.signal, ...(context.timeoutMs === undefined ? {} : { timeoutMs: context.timeoutMs }) });
  } catch (error) {
    if (!(error instanceof PgorbitError) || error.code !== 'agent-unreachable') throw error;
    return readLocalStatus(context.home, cluster.file);
  }
}

async function watch(context: Context, cluster: Cluster): Promise<void> {
  while (!context.signal.aborted) {
    const text = renderStatus(await statusOf(context, cluster), context.style);
    // Home, then each line cleared to its end, then the rest of the screen: no flicker.
    context.out.text(`\u001b[H${text.replaceAll('\n', '\u001b[K\n')}\u001b[J`);
    await sleep(REDRAW_MS, context.signal);
  }
}
