/** The repository that a command means. */
import type { Command } from 'commander';
import { homeS3Config, openNamed } from '../../backup/open-store.ts';
import { isS3 } from '../../backup/s3/settings.ts';
import type { Store } from '../../backup/store.ts';
import { PgorbitError } from '../../errors.ts';
import type { Context } from '../context.ts';
import { naming, type PlaceOption } from './place.ts';

export interface RepositoryOptions {
  s3Endpoint?: string;
  s3Region?: string;
  s3Config?: string;
}

/** `--to` or `--from`, and what an S3 store needs beside its name; keys are no options, because everybody sees those. */
export function repositoryOptions(command: Command, option: PlaceOption, otherwise = ', else where the manifest has WAL archived'): Command {
  return command
    .option(`${option} <repository>`, `a folder, or s3://BUCKET/PREFIX (default: PGORBIT_BACKUPS${otherwise})`)
    .option('--s3-endpoint <url>', 'the server of an S3 store (default: AWS_ENDPOINT_URL, or AWS)')
    .option('--s3-region <name>', 'its region (default: AWS_REGION, or us-east-1)')
    .option('--s3-config <file>', 'a YAML document, mode 0600, with endpoint, region, style, accessKeyId, secretAccessKey (default: PGORBIT_S3_CONFIG, or s3.yaml in PGORBIT_HOME)');
}

/** The one named by `option`, else by PGORBIT_BACKUPS. Throws `usage`, `not-ours`, `no-such-backup`, and what an S3 store says. */
export async function repositoryOf(context: Context, option: PlaceOption, named: string | undefined, options: RepositoryOptions, make = false): Promise<Store> {
  const { env, cwd } = context;
  const wanted = named ?? env['PGORBIT_BACKUPS'];
  if (!wanted) throw new PgorbitError('usage', 'no repository was named', { hint: naming(option) });
  const s3 = { endpoint: options.s3Endpoint, region: options.s3Region, config: options.s3Config ?? (env['PGORBIT_S3_CONFIG'] || (await homeS3Config(context.home))) };
  if (!isS3(wanted) && (options.s3Endpoint !== undefined || options.s3Region !== undefined || options.s3Config !== undefined)) throw new PgorbitError('usage', `${wanted} is a folder, and the --s3 options are for s3://BUCKET/PREFIX`, { hint: 'leave them away' });
  return openNamed(wanted, { make, cwd, s3, env, signal: context.signal });
}
