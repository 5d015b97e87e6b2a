/** `pgorbit backup archive`: runs until it is ended. */
import { type ArchiveEvent, runArchiver, slotOf } from '../../backup/archive/archiver.ts';
import { type ArchiveSource, dropSlot } from '../../backup/archive/session.ts';
import type { Store } from '../../backup/store.ts';
import type { SecretsDocument } from '../../group/model.ts';
import type { GroupStatus, MemberStatus } from '../../agent/api.ts';
import { PgorbitError } from '../../errors.ts';
import { fetchSecrets } from '../access.ts';
import type { Cluster } from '../cluster.ts';
import type { Context } from '../context.ts';
import { chooseGroup } from '../plan/names.ts';
import { chooseWalSource } from './source.ts';

export interface ArchiveWish {
  store: Store;
  group: string | undefined;
  source: 'primary' | 'logger';
}

/** Archives until the command is ended; each turn of events is a line on standard error. */
export async function archiveOf(context: Context, cluster: Cluster, wish: ArchiveWish): Promise<void> {
  const secrets = await fetchSecrets(cluster);
  const first = await groupOf(context, cluster, wish.group);
  await runArchiver({
    store: wish.store, cluster: cluster.name, group: first.name, now: () => performance.now(), signal: context.signal,
    find: async () => {
      const group = await groupOf(context, cluster, first.name);
      const member = chooseWalSource(group, wish.source);
      if (member === null) throw new PgorbitError('host-unreachable', `group ${group.name} has no ${wish.source} just now`, { hint: 'it is waited for: see `pgorbit status`' });
      return { source: sourceOf(member, secrets), others: group.members.filter((one) => one.name !== member.name && one.pid !== null).map((one) => sourceOf(one, secrets)) };
    },
    onEvent: (event) => tell(context, event),
  });
}

/** Gives up the archive's slots, so that no member keeps WAL for it any more. Returns the members that had one. */
export async function forgetArchive(context: Context, cluster: Cluster, wish: Omit<ArchiveWish, 'source'>): Promise<string[]> {
  const secrets = await fetchSecrets(cluster);
  const group = await groupOf(context, cluster, wish.group);
  const had: string[] = [];
  for (const member of group.members) {
    if (member.pid !== null && (await dropSlot(sourceOf(member, secrets), slotOf(wish.store), context.signal))) had.push(member.name);
  }
  return had;
}

async function groupOf(context: Context, cluster: Cluster, wanted: string | undefined): Promise<GroupStatus> {
  const { groups } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
  const name = chooseGroup(groups.map((group) => group.name), wanted);
  return groups.find((group) => group.name === name)!;
}

const sourceOf = (member: MemberStatus, secrets: SecretsDocument): ArchiveSource => ({ member: member.name, host: member.address, port: member.port, ...secrets.replication });

function tell(context: Context, event: ArchiveEvent): void {
  const { progress } = context;
  if (event.kind === 'streaming') progress.step(`archive timeline ${event.timeline} from ${event.member} to ${event.dir} (slot ${event.slot})`);
  else if (event.kind === 'archived') progress.detail(`to ${event.lsn}`);
  else progress.step(`waiting: ${event.error.message}`);
}
