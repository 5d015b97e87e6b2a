/** For tests: takes a backup as standard input says, so that it can be killed. Prints a line when data flow. */
import { text } from 'node:stream/consumers';
import { openRepository } from '../repository.ts';
import { takeBackup, type TakeOptions } from '../take.ts';

const input = JSON.parse(await text(process.stdin)) as Pick<TakeOptions, 'source' | 'owner' | 'rate'> & { repository: string };
let told = false;
await takeBackup({
  ...input, store: await openRepository(input.repository), cluster: 'shop', group: 'main', checkpoint: 'fast', incremental: null, settings: {}, serverNow: async () => new Date(), signal: new AbortController().signal,
  onProgress: ({ step, done }) => {
    if (step !== 'copy' || done === 0 || told) return;
    told = true;
    process.stdout.write('copying\n');
  },
});
