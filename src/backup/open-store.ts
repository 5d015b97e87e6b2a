/** The repository of a name: a folder, or `s3://BUCKET/PREFIX`. */
import { join, resolve } from 'node:path';
import { exists } from '../durable.ts';
import { PgorbitError } from '../errors.ts';
import { openRepository } from './repository.ts';
import { S3Store } from './s3/s3-store.ts';
import { isS3, s3Settings, type S3Options } from './s3/settings.ts';
import type { Store } from './store.ts';

export interface OpenOptions {
  /** An empty or missing one becomes a repository. */
  make: boolean;
  /** What relative names are relative to. */
  cwd: string;
  s3: S3Options;
  env: NodeJS.ProcessEnv;
  /** Ends requests that are under way. */
  signal: AbortSignal;
}

/** Throws `usage`, `not-ours`, `no-such-backup`, and what an S3 store says. */
export async function openNamed(where: string, { make, cwd, s3, env, signal }: OpenOptions): Promise<Store> {
  if (isS3(where)) {
    const config = s3.config ?? env['PGORBIT_S3_CONFIG'];
    const settings = await s3Settings(where, { ...s3, config: config ? resolve(cwd, config) : undefined }, env);
    return openRepository(new S3Store(settings, { signal }), { make });
  }
  if (/^[a-z][a-z0-9+]*:\/\//i.test(where)) throw new PgorbitError('usage', `${where} is neither a folder nor an S3 store`, { hint: 'backups go to folders and to s3://BUCKET/PREFIX; mount another store, and name the folder' });
  return openRepository(resolve(cwd, where), { make });
}

/** The settings of S3 stores for the clusters of a home, where nothing else is said; undefined where there are none. */
export async function homeS3Config(home: string): Promise<string | undefined> {
  const file = join(home, 's3.yaml');
  return (await exists(file)) ? file : undefined;
}
