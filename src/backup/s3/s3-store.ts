/**
 * A store in an S3 bucket: a value is an object. There is no rename, so a folder that is being made or removed has a mark
 * beside it, `.NAME.new` or `.NAME.gone`, and is none as long as the mark is there. The mark of one that was half made and
 * cleared stays for a day: a process that was stopped meanwhile cannot publish what is no longer whole.
 */
import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { eachOf } from '../../each-of.ts';
import type { BackupTarget } from '../../engine/basebackup/target.ts';
import type { OsUser } from '../../engine/osuser.ts';
import { PgorbitError } from '../../errors.ts';
import { beside, keyIn, nameOf } from '../keys.ts';
import type { Held, Store, StoredValue } from '../store.ts';
import { LIMITS, S3Client, type S3Limits } from './client.ts';
import { LEASE, type LeaseTimes, takeLease } from './lease.ts';
import type { S3Settings } from './settings.ts';
import { StoredTarget, UPLOADS_AT_ONCE } from './upload.ts';

const MARKED = /^\.(.+)\.(new|gone)$/;
const TOMBSTONE_MS = 86_400_000;

export interface S3StoreOptions {
  /** Ends requests that are under way; what is sent after it is clean-up, and is tried once. */
  signal: AbortSignal;
  limits?: Partial<S3Limits>;
  lease?: Partial<LeaseTimes>;
}

export class S3Store implements Store {
  readonly where: string;
  readonly atOnce = UPLOADS_AT_ONCE;
  readonly #client: S3Client;
  readonly #once: (signal: AbortSignal, silence: number) => S3Client;
  /** '' or with a `/` behind it. */
  readonly #prefix: string;
  readonly #signal: AbortSignal;
  readonly #lease: LeaseTimes;

  constructor(settings: S3Settings, options: S3StoreOptions) {
    this.where = `s3://${settings.bucket}${settings.prefix === '' ? '' : `/${settings.prefix}`}`;
    this.#prefix = settings.prefix === '' ? '' : `${settings.prefix}/`;
    // Every request under way listens to it.
    setMaxListeners(0, options.signal);
    const limits = { ...LIMITS, ...options.limits };
    this.#client = new S3Client(settings, options.signal, limits);
    this.#once = (signal, silence) => new S3Client(settings, signal, { ...limits, tries: 1, silence });
    this.#signal = options.signal;
    this.#lease = { ...LEASE, ...options.lease };
  }

  path(key: string): string {
    return key === '.' ? this.where : `${this.where}/${key}`;
  }

  local(): null {
    return null;
  }

  put(key: string, value: Buffer): Promise<void> {
    return this.#client.put(this.#full(key), value);
  }

  create(key: string, value: Buffer): Promise<boolean> {
    return this.#client.create(this.#full(key), value, `${this.#prefix}.probe-${randomBytes(6).toString('hex')}`);
  }

  get(key: string): Promise<Buffer | null> {
    return this.#client.get(this.#full(key));
  }

  read(key: string, signal?: AbortSignal): AsyncIterable<Buffer> {
    return this.#client.read(this.#full(key), signal);
  }

  async stat(key: string): Promise<StoredValue | null> {
    const found = await this.#client.stat(this.#full(key));
    return found === null ? null : { ...found, key };
  }

  delete(key: string): Promise<void> {
    return this.#client.delete(this.#full(key));
  }

  async list(folder: string): Promise<StoredValue[]> {
    return (await this.#look(folder, true)).values.filter(({ key }) => !nameOf(key).startsWith('.'));
  }

  async listAll(folder: string): Promise<StoredValue[]> {
    return (await this.#look(folder, false)).values;
  }

  async folders(folder: string): Promise<string[]> {
    const { values, folders } = await this.#look(folder, true);
    const marked = new Set(marksOf(values).map(({ name }) => name));
    return folders.filter((name) => !marked.has(name)).sort();
  }

  async begin(key: string): Promise<string> {
    if ((await this.stat(beside(key, 'gone'))) !== null || !(await this.create(beside(key, 'new'), Buffer.from(`${new Date().toISOString()}\n`)))) {
      throw new PgorbitError('operation-failed', `${this.path(key)} was begun and given up a moment ago`, { hint: 'run it again' });
    }
    return key;
  }

  async publish(key: string): Promise<void> {
    if ((await this.stat(beside(key, 'new'))) === null || (await this.stat(beside(key, 'gone'))) !== null) {
      throw new PgorbitError('locked', `${this.path(key)} was cleared by another while it was made`, { hint: 'run it again' });
    }
    await this.delete(beside(key, 'new'));
  }

  async remove(key: string): Promise<void> {
    await this.put(beside(key, 'gone'), Buffer.from(`${new Date().toISOString()}\n`));
    await this.#empty(key);
    // What never became whole may still have a maker.
    if ((await this.stat(beside(key, 'new'))) === null) await this.delete(beside(key, 'gone'));
    else await this.delete(beside(key, 'new'));
  }

  async clear(folder: string): Promise<void> {
    const { values } = await this.#look(folder, true);
    for (const { name, what, value } of marksOf(values)) {
      const key = keyIn(folder, name);
      if (what === 'new') await this.remove(key);
      else {
        await this.#empty(key);
        if ((this.#client.now ?? 0) - value.modifiedMs > TOMBSTONE_MS) await this.delete(value.key);
      }
    }
  }

  target(folder: string, _owner: OsUser | null, signal: AbortSignal): BackupTarget {
    return new StoredTarget(this.#client, this.#full(`${folder}/`), this.path(folder), signal);
  }

  lock(key: string, what: string): Promise<Held> {
    return takeLease({ client: this.#client, once: this.#once, key: this.#full(key), shown: this.path(key), what, signal: this.#signal, times: this.#lease });
  }

  /** Everything below `key`, and nothing beside it. */
  async #empty(key: string): Promise<void> {
    const prefix = this.#full(`${key}/`);
    for (const one of await this.#client.uploads(prefix)) await this.#client.abortUpload(one.key, one.id);
    const { values } = await this.#client.list(prefix, false);
    await eachOf(values, this.atOnce, (value) => this.#client.delete(value.key));
  }

  async #look(folder: string, flat: boolean): Promise<{ values: StoredValue[]; folders: string[] }> {
    const { values, folders } = await this.#client.list(folder === '.' ? this.#prefix : this.#full(`${folder}/`), flat);
    return { values: values.map((value) => ({ ...value, key: value.key.slice(this.#prefix.length) })), folders };
  }

  #full(key: string): string {
    return `${this.#prefix}${key}`;
  }
}

function marksOf(values: readonly StoredValue[]): { name: string; what: 'new' | 'gone'; value: StoredValue }[] {
  return values.flatMap((value) => {
    const match = MARKED.exec(nameOf(value.key));
    return match === null ? [] : [{ name: match[1]!, what: match[2] as 'new' | 'gone', value }];
  });
}
