import { PgorbitError } from '../../errors.ts';
import { sleep } from '../../lifecycle.ts';
import type { Define } from '../command.ts';
import { withCluster } from '../cluster.ts';
import { EventReader } from '../events.ts';
import { renderEvent } from '../print/events.ts';
import { parseCount, parseSpan } from '../print/units.ts';

interface Options {
  follow?: boolean;
  since?: string;
  number?: string;
}

const POLL_MS = 300;

export const define: Define = (command, declare) => {
  command
    .option('-f, --follow', 'go on with what happens, until Ctrl-C')
    .option('--since <when>', 'a span such as 10min, or a time such as 2026-01-31T12:00')
    .option('-n, --number <count>', 'the last so many only');
  declare<Options>(command, 'pgorbit events --since 1h\npgorbit events -f', async (context, _operands, options) => {
    if (options.follow === true && context.out.json) throw new PgorbitError('usage', '--follow has no end, and --json promises one document', { hint: 'leave one of the two out' });
    const since = options.since === undefined ? undefined : sinceTime(options.since, Date.now());
    const number = options.number === undefined ? undefined : parseCount(options.number, '--number', 0, 1_000_000);
    await withCluster(context, async (cluster) => {
      const reader = EventReader.fromStart(cluster);
      const all = (await reader.next()).filter((event) => since === undefined || event.time >= since);
      const shown = number === undefined ? all : all.slice(all.length - Math.min(number, all.length));
      for (const event of shown) context.out.text(renderEvent(event, context.style));
      context.out.document(shown);
      while (options.follow === true && !context.signal.aborted) {
        await sleep(POLL_MS, context.signal);
        for (const event of await reader.next()) context.out.text(renderEvent(event, context.style));
      }
    });
  });
};

/** The ISO time that `--since` means. Pure. Throws `usage`. */
export function sinceTime(text: string, now: number): string {
  if (/^\d{4}-/.test(text)) {
    const at = new Date(text);
    if (!Number.isNaN(at.getTime())) return at.toISOString();
    throw new PgorbitError('usage', `--since is ${JSON.stringify(text)}, which is no time`, { hint: 'write 2026-01-31T12:00, or a span such as 10min' });
  }
  return new Date(now - parseSpan(text, '--since')).toISOString();
}
