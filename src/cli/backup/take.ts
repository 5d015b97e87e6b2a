/** `pgorbit backup`: of a group of a cluster that runs. */
import type { BackupInfo } from '../../backup/info.ts';
import type { SystemFolder } from '../../backup/repository.ts';
import type { Store } from '../../backup/store.ts';
import { takeBackup } from '../../backup/take.ts';
import { postgresOsUser } from '../../engine/osuser.ts';
import { SqlSession } from '../../engine/sql.ts';
import { PgorbitError } from '../../errors.ts';
import { fetchSecrets } from '../access.ts';
import type { Cluster } from '../cluster.ts';
import { Interrupted, type Context } from '../context.ts';
import { chooseGroup } from '../plan/names.ts';
import { describeCopy } from './progress.ts';
import { chooseSource } from './source.ts';

export interface TakeWish {
  store: Store;
  group: string | undefined;
  /** `primary`, `replica` or a member's name. */
  source: string;
  checkpoint: 'fast' | 'spread';
  /** As in TakeOptions. */
  incremental: { from: string | null } | null;
  /** Bytes a second. */
  rate: number | null;
}

export async function takeOf(context: Context, cluster: Cluster, wish: TakeWish): Promise<{ system: SystemFolder; info: BackupInfo }> {
  const { document } = await cluster.call('GET /v1/cluster', {}, { signal: context.signal });
  const status = await cluster.call('GET /v1/status', {}, { signal: context.signal });
  const name = chooseGroup(status.groups.map((group) => group.name), wish.group);
  const group = status.groups.find((one) => one.name === name)!;
  const member = chooseSource(group, wish.source);
  const secrets = await fetchSecrets(cluster);
  const sql = new SqlSession({ host: member.address, port: member.port, ...secrets.monitor });
  const { progress } = context;
  progress.step(`back up group ${name} from ${member.name} to ${wish.store.where}`);
  let from = 0;
  try {
    const made = await takeBackup({
      store: wish.store, cluster: cluster.name, group: name, owner: await postgresOsUser(), checkpoint: wish.checkpoint, incremental: wish.incremental, rate: wish.rate,
      source: { member: member.name, host: member.address, port: member.port, ...secrets.replication },
      settings: document?.spec.groups[name]?.settings ?? {},
      serverNow: () => serverNow(sql),
      onParent: ({ label }) => progress.step(`copy what changed since ${label}`),
      onProgress: (now) => {
        if (now.step === 'copy' && from === 0) from = performance.now();
        progress.detail(describeCopy(now, performance.now() - from));
      },
      signal: context.signal,
    });
    progress.done();
    return made;
  } catch (error) {
    if (context.signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    await sql.close();
  }
}

/** With microseconds in the server, whole milliseconds here: rounded up, so that what came before is before it. */
async function serverNow(sql: SqlSession): Promise<Date> {
  const [row] = await sql.query<{ ms: string }>('select ceil(extract(epoch from clock_timestamp()) * 1000)::text as ms');
  if (row === undefined) throw new PgorbitError('postgres-failed', 'the server does not say what time it is');
  return new Date(Number(row.ms));
}
