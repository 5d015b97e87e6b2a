/** The backups that a command means: of which cluster and group, in which repository. */
import type { Command } from 'commander';
import { chooseSystem, type SystemFolder } from '../../backup/repository.ts';
import type { Context } from '../context.ts';
import { placeOfBackups } from './place.ts';
import { type RepositoryOptions, repositoryOf, repositoryOptions } from './repository.ts';

export interface KeptOptions extends RepositoryOptions {
  from?: string;
  group?: string;
}

/** `--from`, what an S3 store needs, and whose backups. */
export function keptOptions(command: Command): Command {
  return repositoryOptions(command, '--from').option('--group <name>', 'of which group (default: the only one of which there are backups)');
}

/** Throws `usage`, `no-such-backup`, `no-such-group`, and what a store says. */
export async function keptOf(context: Context, options: KeptOptions): Promise<SystemFolder> {
  const { where, cluster } = await placeOfBackups(context, options.from, options.group);
  return chooseSystem(await repositoryOf(context, '--from', where, options), { cluster, group: options.group });
}
