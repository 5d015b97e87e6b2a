import type { Command } from 'commander';
import { pruneBackups, removeBackup, type Removed } from '../../backup/remove.ts';
import { SystemFolder, systemsOf } from '../../backup/repository.ts';
import { lineageOf } from '../../backup/incremental/lineage.ts';
import { chainOf, verifyStored } from '../../backup/verify.ts';
import { PgorbitError } from '../../errors.ts';
import { formatLsn } from '../../wal/lsn.ts';
import { archiveOf, forgetArchive } from '../backup/archive.ts';
import { refuseArchived } from '../backup/archived.ts';
import { placeOf, placeOfBackups, specOf } from '../backup/place.ts';
import { type Listed, plainBackup, renderBackups } from '../backup/print.ts';
import { type KeptOptions, keptOf, keptOptions } from '../backup/kept.ts';
import { type RepositoryOptions, repositoryOf, repositoryOptions } from '../backup/repository.ts';
import { takeOf } from '../backup/take.ts';
import { withCluster } from '../cluster.ts';
import type { Declare, Define } from '../command.ts';
import { formatBytes, parseCount, parseSize } from '../print/units.ts';

interface TakeOptions extends RepositoryOptions {
  to?: string;
  source?: string;
  rate?: string;
  checkpoint?: string;
  incremental?: boolean;
  from?: string;
}

export const define: Define = (command, declare) => {
  repositoryOptions(command.argument('[group]', 'the group (default: the only one)'), '--to')
    .option('--source <member>', 'whom to copy: primary (the default), replica, or a member')
    .option('--incremental', 'only what changed since an earlier backup (PostgreSQL 17 and later, with summarize_wal = on)')
    .option('--from <backup>', 'with --incremental: the backup to build on (default: the newest that is whole)')
    .option('--rate <size>', 'copy no faster than this a second, such as 50MB')
    .option('--checkpoint <pace>', 'fast (the default) begins at once; spread spares the source, and waits up to checkpoint_timeout');
  declare<TakeOptions>(command, 'pgorbit backup\npgorbit backup --to s3://backups/shop --source replica --rate 50MB\npgorbit backup --incremental --to /srv/backups', async (context, [group], options) => {
    const checkpoint = options.checkpoint ?? 'fast';
    if (checkpoint !== 'fast' && checkpoint !== 'spread') throw new PgorbitError('usage', `--checkpoint is ${JSON.stringify(checkpoint)}`, { hint: 'it may be fast or spread' });
    if (options.from !== undefined && options.incremental !== true) throw new PgorbitError('usage', '--from names the backup that an incremental one builds on', { hint: 'add --incremental, or leave --from out' });
    const incremental = options.incremental === true ? { from: options.from ?? null } : null;
    const rate = options.rate === undefined ? null : parseSize(options.rate, '--rate');
    await withCluster(context, async (cluster) => {
      const { where } = await placeOf(context, { option: '--to', named: options.to, group, spec: () => specOf(context, cluster) });
      const store = await repositoryOf(context, '--to', where, options, true);
      const { system, info } = await takeOf(context, cluster, { store, group, source: options.source ?? 'primary', checkpoint, incremental, rate });
      context.out.text(`${info.label}: ${formatBytes(info.bytes)}${info.parent === undefined ? '' : ` that changed since ${info.parent.label},`} of ${info.source} (PostgreSQL ${info.version}), consistent at ${info.stopLsn} on timeline ${info.timeline}.\n`);
      context.out.document({ repository: store.where, path: system.path('backups', info.label), data: system.dataDir(info.label), backup: info });
    });
  });
  archive(sub(command, 'archive', 'archive WAL continuously, until it is ended'), declare);
  list(sub(command, 'ls', 'the backups of a repository, and to where each can be restored'), declare);
  verify(sub(command, 'verify', 'read a backup and its WAL, and name what is damaged or missing'), declare);
  remove(sub(command, 'rm', 'remove backups, and the WAL that only they needed'), declare);
};

function sub(parent: Command, name: string, summary: string): Command {
  return parent.command(name).summary(summary).description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`);
}

/** No option here has a default in commander: those of `pgorbit backup` itself would win over what stands behind a subcommand. */
function archive(command: Command, declare: Declare): void {
  repositoryOptions(command.argument('[group]', 'the group (default: the only one)'), '--to', '')
    .option('--source <role>', 'whose WAL: primary (the default) or logger')
    .option('--forget', 'archive no longer: drop its replication slot, so that no WAL is kept for it');
  declare<RepositoryOptions & { to?: string; source?: string; forget?: boolean }>(command, 'pgorbit backup archive --to /srv/backups\npgorbit backup archive --to /srv/backups --source logger', async (context, [group], options) => {
    const source = options.source ?? 'primary';
    if (source !== 'primary' && source !== 'logger') throw new PgorbitError('usage', `--source is ${JSON.stringify(source)}`, { hint: 'WAL comes from the primary or from a logger' });
    await withCluster(context, async (cluster) => {
      const store = await repositoryOf(context, '--to', options.to, options, true);
      if (options.forget === true) {
        const members = await forgetArchive(context, cluster, { store, group });
        context.out.text(members.length === 0 ? 'No member keeps WAL for this archive.\n' : `${members.join(', ')} keeps no WAL for this archive any more.\n`);
        return context.out.document({ repository: store.where, members });
      }
      await refuseArchived(context, cluster, group, store.where);
      await archiveOf(context, cluster, { store, group, source });
      context.progress.done();
      context.out.document({ repository: store.where });
    });
  });
}

function list(command: Command, declare: Declare): void {
  keptOptions(command);
  declare<KeptOptions>(command, 'pgorbit backup ls\npgorbit backup ls --from /srv/backups', async (context, _operands, options) => {
    const { where, cluster } = await placeOfBackups(context, options.from, options.group);
    const store = await repositoryOf(context, '--from', where, options);
    const systems = await systemsOf(await SystemFolder.all(store), { cluster, group: options.group });
    const listed: Listed[] = [];
    const damaged: { path: string; message: string }[] = [];
    for (const system of systems) {
      for (const label of await system.labels()) {
        const tell = (error: unknown): null => {
          if (!(error instanceof PgorbitError) || error.code !== 'backup-damaged') throw error;
          damaged.push({ path: system.path('backups', label), message: error.message });
          return null;
        };
        const info = await system.info(label).catch(tell);
        if (info === null) continue;
        const lineage = await lineageOf(system, info).catch(tell);
        listed.push({ info, chain: await chainOf(system, info).catch(() => null), lineage: lineage?.map((one) => one.info) ?? null });
      }
    }
    context.out.text(listed.length === 0 ? `${store.where} holds no backup.\n` : renderBackups(listed));
    for (const one of damaged) context.progress.warn(one.message);
    context.out.document({ repository: store.where, backups: listed.map(plainBackup), damaged });
  });
}

function verify(command: Command, declare: Declare): void {
  keptOptions(command.argument('[backup]', 'its name, or latest', 'latest'));
  declare<KeptOptions>(command, 'pgorbit backup verify\npgorbit backup verify --from /srv/backups', async (context, [wanted = 'latest'], options) => {
    const system = await keptOf(context, options);
    const label = await labelOf(system, wanted);
    context.progress.step(`read backup ${label}`);
    const { info, lineage, chain, problems } = await verifyStored(system, label, {
      signal: context.signal,
      onProgress: (done, total) => context.progress.detail(`${formatBytes(done)} of ${formatBytes(total)}`),
    });
    context.progress.done();
    const sound = problems.length === 0;
    const others = lineage.slice(0, -1).map((one) => one.info.label);
    const builds = others.length === 0 ? '' : `, and so is what it builds on, ${others.join(', ')}`;
    context.out.text(sound ? `${label} is ${context.style.green('sound')}${builds}; with its WAL it can be restored to any moment from ${info.stopLsn} to ${formatLsn(chain!.end)}.\n` : `${label} is ${context.style.red('damaged')}:\n${problems.map(({ message }) => `  ${message}\n`).join('')}`);
    context.out.document({ repository: system.store.where, backup: info, lineage: lineage.map((one) => one.info.label), sound, problems, walTo: chain === null ? null : formatLsn(chain.end) });
    if (!sound) throw new PgorbitError('backup-damaged', problems[0]!.message, { hint: 'take a new backup now; another may be sound: `pgorbit backup ls`' });
  });
}

function remove(command: Command, declare: Declare): void {
  keptOptions(command.argument('[backup]', 'its name').option('--keep <count>', 'keep so many of the newest, and remove the others'));
  declare<KeptOptions & { keep?: string }>(command, 'pgorbit backup rm --keep 7\npgorbit backup rm --keep 7 --from /srv/backups', async (context, [label], options) => {
    if ((label === undefined) === (options.keep === undefined)) throw new PgorbitError('usage', 'name either a backup, or with --keep how many are to stay');
    const system = await keptOf(context, options);
    context.progress.step('remove');
    const removed: Removed = label === undefined ? await pruneBackups(system, parseCount(options.keep ?? '', '--keep', 1, 1_000_000)) : await removeBackup(system, label);
    context.progress.done();
    for (const { backup, by } of removed.needed) context.progress.note(`${backup} stays: ${by.join(', ')} ${by.length === 1 ? 'builds' : 'build'} on it`);
    context.out.text(removed.backups.length === 0 ? 'There was nothing to remove.\n' : `Removed ${removed.backups.join(', ')}, and ${removed.segments.length} WAL segments that only they needed.\n`);
    context.out.document({ repository: system.store.where, ...removed });
  });
}

/** Throws `no-such-backup`. */
export async function labelOf(system: SystemFolder, wanted: string): Promise<string> {
  const labels = await system.labels();
  const label = wanted === 'latest' ? labels.at(-1) : labels.find((one) => one === wanted);
  if (label !== undefined) return label;
  throw new PgorbitError('no-such-backup', wanted === 'latest' ? `${system.path()} holds no backup` : `there is no backup ${wanted} in ${system.path()}`, { hint: labels.length === 0 ? undefined : `there are: ${labels.join(', ')}` });
}
