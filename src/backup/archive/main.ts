/**
 * The archiver's process: `node main.js FOLDER/archiver.json`. It is one of its own so that nothing which it waits for
 * delays a heartbeat, and outlives the agent that started it. It ends on SIGTERM, when a later archiver of the group is
 * at work, and when its configuration is gone: then its agent's host is no part of the cluster any more.
 */
import { dirname } from 'node:path';
import { claimFolder } from '../../engine/companion-claim.ts';
import { endWith, log } from '../../engine/companion-log.ts';
import { PgorbitError } from '../../errors.ts';
import { Lifecycle } from '../../lifecycle.ts';
import { openNamed } from '../open-store.ts';
import { type ArchiveOrders, archiveContinuously, BEGINNING } from './continuous.ts';
import { type ArchiverFile, readConfig, writeStatus } from './files.ts';

/** The configuration is read, and the status written, this often. */
const TICK_MS = 500;

const ordersIn = ({ sources, flushMs, account }: ArchiverFile): ArchiveOrders => ({
  sources: sources.map(({ member, address, port, slot }) => ({ member, host: address, port, slot, ...account })), flushMs,
});

/** Nobody is to begin another repository in the place of one that is not mounted. */
function explainMissing(error: unknown, to: string): unknown {
  if (!(error instanceof PgorbitError) || error.code !== 'no-such-backup') return error;
  return new PgorbitError('no-such-backup', `${to} is not the repository that was archived to so far`, { hint: 'is its disk mounted on this host? It is looked for again; `archive: { to: ..., hosts: [...] }` says from which hosts it can be used', cause: error });
}

async function main(file: string | undefined): Promise<void> {
  if (file === undefined) throw new PgorbitError('usage', 'the archiver needs the path of its configuration');
  const dir = dirname(file);
  const first = await readConfig(dir);
  if (first === null) throw new PgorbitError('usage', `cannot read the archiver's configuration ${file}`);
  const leave = claimFolder(dir, 'archiver');
  const ending = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => ending.abort());

  let config = first;
  let progress = BEGINNING;
  let told = '';
  const show = async (): Promise<void> => {
    const { error, state, source, timeline } = progress;
    const text = `${state} ${source ?? ''} ${timeline ?? ''} ${error?.message ?? ''}`.trimEnd();
    if (text !== told) log(error === null ? 'info' : 'warning', text);
    told = text;
    await writeStatus(dir, { ...progress, pid: process.pid, epoch: first.epoch, at: Date.now() });
  };
  const life = new Lifecycle((error, what) => log('error', `${what}: ${String(error)}`));
  await show();
  life.every(TICK_MS, 'following the agent', async () => {
    const now = await readConfig(dir);
    if (now === null) ending.abort();
    else {
      config = now;
      await show();
    }
  });
  try {
    await archiveContinuously({
      cluster: first.cluster, group: first.group, lease: { clusterId: first.clusterId, epoch: first.epoch }, where: first.to, signal: ending.signal, now: Date.now,
      open: async (make) => {
        const may = make && config.make;
        return openNamed(first.to, { make: may, cwd: '/', s3: {}, env: process.env, signal: ending.signal }).catch((error: unknown) => Promise.reject(may ? error : explainMissing(error, first.to)));
      },
      orders: () => ordersIn(config),
      onProgress: (now) => {
        progress = now;
      },
    });
  } finally {
    await life.stop();
    leave();
  }
}

main(process.argv[2]).catch(endWith);
