import { PgorbitError } from '../../errors.ts';
import { act } from '../act.ts';
import { withCluster } from '../cluster.ts';
import type { Define } from '../command.ts';
import type { Context } from '../context.ts';
import { depart } from '../depart.ts';
import { fetchSecrets } from '../access.ts';
import { chooseMember } from '../plan/names.ts';
import { endpointUri, withoutPassword } from '../plan/uri.ts';
import { findMember } from '../member-here.ts';

interface Options {
  as?: string;
  force?: boolean;
  acceptLoss?: boolean;
}

export const define: Define = (command, declare) => {
  command
    .argument('<member>', 'the member that becomes the primary, or group/member; a standby becomes a cluster of its own')
    .option('--as <name>', "for a standby, or the only copy that is left: the new cluster's name (default for a standby: CLUSTER-MEMBER)")
    .option('--force', 'yes: the old primary is fenced for good, and comes back as a replica by a new clone; with --as: its cluster is lost')
    .option('--accept-loss', "with --force, on a shared volume: goes on without what can't be read of the old primary's WAL");
  declare<Options>(command, 'pgorbit promote n2 --force\npgorbit promote n2 --force --accept-loss\npgorbit promote s1 --as dr\npgorbit promote s1 --as dr --force\npgorbit promote n2 --as saved --force', async (context, [wanted = ''], options) => {
    if (options.as !== undefined || (await mayLeave(context, wanted))) return promoteAlone(context, wanted, options);
    await act(context, (groups) => {
      const { group, member } = chooseMember(groups, wanted);
      if (options.force !== true) {
        throw new PgorbitError('unsafe', `promoting ${member.name} by hand fences ${group.primary ?? 'the old primary'} for good: it comes back as a replica by a new clone`, {
          hint: `if ${group.primary ?? 'the old primary'} is dead: pgorbit promote ${wanted} --force${options.acceptLoss === true ? ' --accept-loss' : ''}; if it lives: pgorbit switchover --to ${wanted}`,
        });
      }
      return { request: { kind: 'promote', group: group.name, member: member.name, force: true, acceptLoss: options.acceptLoss === true }, step: `promote ${member.name}` };
    });
  });
};

/** A standby, or a copy of the data for which nobody leads. False also where that can't be known here: then it is for the cluster to say. */
async function mayLeave(context: Context, wanted: string): Promise<boolean> {
  try {
    (await findMember(context, wanted)).agent.close();
    return true;
  } catch (error) {
    if (error instanceof PgorbitError && (error.code === 'usage' || error.code.startsWith('no-such') || error.code === 'host-unreachable')) return false;
    throw error;
  }
}

async function promoteAlone(context: Context, wanted: string, options: Options): Promise<void> {
  const { cluster, member, point, status, forgotten } = await depart(context, wanted, { as: options.as, force: options.force === true });
  const members = status?.groups[0]?.members ?? [];
  const account = await withCluster(context, async (one) => (await fetchSecrets(one)).superuser, cluster);
  const uri = endpointUri('rw', members, { account, database: 'postgres' });
  const shown = context.out.isTerminal ? uri : withoutPassword(uri);
  context.out.text([
    `${member} is the cluster ${cluster} now, and accepts writes:\n\n  ${shown}\n\n`,
    `Recovery point: ${point.lsn} on timeline ${point.timeline}; the last transaction it has ${point.time === null ? 'was there when it started: its time is not known' : `ended at ${point.time}`}.\n`,
    forgotten ? '' : `The old cluster still names ${member}. When it is there again: \`pgorbit remove ${member}\` there; nothing of ${cluster} is touched by it.\n`,
    `To have the old site back as a copy of this one: \`pgorbit standby follow OLD --cluster ${cluster}\`.\n`,
  ].join(''));
  context.out.document({ promoted: member, cluster, recoveryPoint: point, forgotten, status });
}
