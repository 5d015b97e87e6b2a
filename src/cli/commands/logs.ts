import { PgorbitError } from '../../errors.ts';
import { sleep } from '../../lifecycle.ts';
import type { Define } from '../command.ts';
import { withCluster } from '../cluster.ts';
import { chooseMember } from '../plan/names.ts';
import { parseCount } from '../print/units.ts';

interface Options {
  follow?: boolean;
  lines?: string;
}

const POLL_MS = 300;

export const define: Define = (command, declare) => {
  command
    .argument('<member>', 'the member, or group/member')
    .option('-f, --follow', 'go on with what is written, until Ctrl-C')
    .option('-n, --lines <count>', 'begin so many lines from the end', '50');
  declare<Options>(command, 'pgorbit logs n1\npgorbit logs n2 -f -n 0', async (context, [wanted = ''], options) => {
    if (options.follow === true && context.out.json) throw new PgorbitError('usage', '--follow has no end, and --json promises one document', { hint: 'leave one of the two out' });
    const lines = parseCount(options.lines ?? '50', '--lines', 0, 1_000_000);
    await withCluster(context, async (cluster) => {
      const status = await cluster.call('GET /v1/status', {}, { signal: context.signal });
      const { group, member } = chooseMember(status.groups, wanted);
      const read = (offset: number) =>
        cluster.callHost(member.host, 'GET /v1/logs', { group: group.name, member: member.name, offset: String(offset), lines: String(lines) }, { signal: context.signal });
      let chunk = await read(-1);
      context.out.text(chunk.text);
      context.out.document({ group: group.name, member: member.name, text: chunk.text, offset: chunk.offset });
      while (options.follow === true && !context.signal.aborted) {
        await sleep(POLL_MS, context.signal);
        if (context.signal.aborted) break;
        chunk = await read(chunk.offset);
        context.out.text(chunk.text);
      }
    });
  });
};
