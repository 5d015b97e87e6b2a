import type { Command } from 'commander';
import { PgorbitError } from '../../errors.ts';
import { withCluster } from '../cluster.ts';
import type { Declare, Define } from '../command.ts';
import { promoteSite } from '../site/promote.ts';
import { switchSites } from '../site/switchover.ts';

export const define: Define = (command, declare) => {
  switchover(sub(command, 'switchover', 'make the other site the primary one, in order: nothing acknowledged is lost'), declare);
  promote(sub(command, 'promote', 'make this site the primary one after the other was lost'), declare);
  detach(sub(command, 'detach', 'make the two sites clusters on their own; a standby site begins to accept writes'), declare);
};

function sub(parent: Command, name: string, summary: string): Command {
  return parent.command(name).summary(summary).description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`);
}

function switchover(command: Command, declare: Declare): void {
  command.option('-t, --to <cluster>', 'the site that becomes the primary one (default: the one that is not); towards one that has handed over, it takes the hand-over back');
  declare<{ to?: string }>(command, 'pgorbit site switchover\npgorbit site switchover --cluster shop --to shop-b', async (context, _operands, { to }) => {
    const { primary, epoch, status } = await switchSites(context, to ?? null);
    context.out.text(`${primary} is the primary site now, in epoch ${epoch}.\n`);
    context.out.document({ primary, epoch, status });
  });
}

function promote(command: Command, declare: Declare): void {
  command.option('--force', 'yes: the other site is lost, and what this one has not received of it, too');
  declare<{ force?: boolean }>(command, 'pgorbit site promote --cluster shop-b --force', async (context, _operands, { force }) => {
    const { cluster, epoch, points, status } = await promoteSite(context, force === true);
    context.out.text(`${cluster} is the primary site now, in epoch ${epoch}.\n${Object.entries(points).map(([group, { timeline, lsn, time }]) =>
      `Recovery point of group ${group}: ${lsn} on timeline ${timeline}; the last transaction it has ${time === null ? 'was there when its server started: its time is not known' : `ended at ${time}`}.\n`).join('')}`);
    context.out.document({ cluster, epoch, points, status });
  });
}

function detach(command: Command, declare: Declare): void {
  command.option('--yes', 'yes: the two copies part, and each accepts writes of its own');
  declare<{ yes?: boolean }>(command, 'pgorbit site detach --cluster shop-b --yes', async (context, _operands, { yes }) => {
    await withCluster(context, async (cluster) => {
      const { site } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
      if (site !== undefined && yes !== true) {
        const standby = site.role === 'standby' ? cluster.name : site.peer.cluster;
        throw new PgorbitError('unsafe', `${cluster.name} and ${site.peer.cluster} would be no sites of each other any more, and ${standby} would accept writes of its own`, { hint: 'pgorbit site detach --yes' });
      }
      const { told, peer } = await cluster.call('POST /v1/site/detach', {}, { signal: context.signal, timeoutMs: 30_000 });
      if (!told) context.progress.warn(`${peer} does not answer: it still takes ${cluster.name} for its other site; when it is there again: pgorbit site detach --cluster ${peer} --yes`);
      context.out.text(`${cluster.name} is a cluster on its own now.\n`);
      context.out.document({ cluster: cluster.name, peer, told });
    });
  });
}
