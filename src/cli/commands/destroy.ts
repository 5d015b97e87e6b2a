import { createInterface } from 'node:readline/promises';
import { PgorbitError } from '../../errors.ts';
import { clusterDir } from '../../home.ts';
import { listClusters } from '../admin.ts';
import type { Define } from '../command.ts';
import type { Context } from '../context.ts';
import { destroyCluster } from '../destroy.ts';
import { takeLock } from '../lock.ts';
import { chooseCluster } from '../plan/select.ts';
import { takeLeave } from '../site/leave.ts';

const DEFAULT_TIMEOUT_MS = 300_000;

export const define: Define = (command, declare) => {
  command.option('-y, --yes', 'do not ask');
  declare<{ yes?: boolean }>(command, 'pgorbit destroy --yes', async (context, _operands, options) => {
    const name = chooseCluster(await listClusters(context.home), context.wantedCluster, context.home);
    if (options.yes !== true) await ask(context, name);
    const lock = await takeLock(clusterDir(context.home, name), 'destroy');
    let kept: string[];
    try {
      context.background = 'What is left of the cluster is unusable: run `pgorbit destroy --yes` again to remove the rest, or `pgorbit up` to remove it and begin anew.';
      await takeLeave(context, name);
      kept = await destroyCluster(context, name, context.deadline(DEFAULT_TIMEOUT_MS));
    } finally {
      await lock.release();
    }
    context.out.text(`Cluster ${name} is gone.\n${kept.map((sentence) => `Left as it is: ${sentence}\n`).join('')}`);
    context.out.document({ destroyed: name, kept });
  });
};

/** Only a person at a terminal is asked. Throws `unsafe`. */
async function ask(context: Context, name: string): Promise<void> {
  const refused = (message: string): PgorbitError => new PgorbitError('unsafe', message, { hint: `pgorbit destroy --yes --cluster ${name}` });
  if (!context.interactive) throw refused(`destroying cluster ${name} deletes its data for good, and was not confirmed`);
  const prompt = createInterface({ input: context.stdin, output: process.stderr });
  try {
    const answer = await prompt.question(`This deletes cluster ${name} and all its data for good. Type its name to go on: `, { signal: context.signal });
    if (answer.trim() !== name) throw refused(`nothing was deleted: ${JSON.stringify(answer.trim())} is not ${name}`);
  } finally {
    prompt.close();
  }
}
