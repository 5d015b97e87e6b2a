/**
 * Requests to an S3 server: each is tried again when it fails in passing, has a limit on silence, and ends when the
 * signal aborts. What was sent is what arrives: each body goes with its MD5, which the server checks (RFC 1864), and
 * what comes back is compared with the length that was announced.
 */
import { createHash } from 'node:crypto';
import { S3ServiceError, S3mini } from 's3mini';
import { errnoOf, PgorbitError } from '../../errors.ts';
import { sleep } from '../../lifecycle.ts';
import { missing, type StoredValue } from '../store.ts';
import { BrokenAnswer, explainS3, isPassing, serviceCode, Stalled, statusOf } from './explain.ts';
import type { S3Settings } from './settings.ts';

export interface S3Limits {
  /** A request is sent so often at most. */
  tries: number;
  /** ms before the second; each further wait is twice as long, up to `mostWait`, and a random part shorter. */
  firstWait: number;
  mostWait: number;
  /** ms without an answer, or within one without a byte. A body may take as much longer as it takes at 64 kB a second. */
  silence: number;
  /** Bytes of a part of a multipart upload; a larger value goes in parts. S3 wants 5 MiB at least. */
  part: number;
}

/** Tried for about a minute: a server that restarts is back by then. */
export const LIMITS: S3Limits = { tries: 9, firstWait: 200, mostWait: 15_000, silence: 60_000, part: 8 * 1024 * 1024 };

/** Once the signal has aborted, what is sent is clean-up: once, and not for long. */
const PARTING_MS = 5_000;
const SLOWEST = 65_536;
const TYPE = 'application/octet-stream';
/** A conditional write (RFC 9110, 13.1.2). */
const ONLY_NEW: Record<string, string> = { 'if-none-match': '*' };

/** Keys of this class are whole: the prefix of the repository stands in them. */
export class S3Client {
  readonly #s3: S3mini;
  readonly #limits: S3Limits;
  readonly #signal: AbortSignal;
  readonly #settings: Pick<S3Settings, 'bucket' | 'endpoint' | 'region'>;
  /** How to cut the answer that a Response belongs to. */
  readonly #cuts = new WeakMap<Response, AbortController>();
  #clock: { server: number; own: number } | null = null;
  #conditional: Promise<boolean> | null = null;

  constructor(settings: S3Settings, signal: AbortSignal, limits: S3Limits) {
    const { bucket, endpoint, region, accessKeyId, secretAccessKey, sessionToken } = settings;
    this.#settings = { bucket, endpoint, region };
    this.#signal = signal;
    this.#limits = limits;
    const base = new URL(endpoint);
    const address = settings.style === 'path' ? `${endpoint}/${bucket}` : `${base.protocol}//${bucket}.${base.host}`;
    this.#s3 = new S3mini({ accessKeyId, secretAccessKey, region, endpoint: address, fetch: (input, init) => this.#fetch(input, init) });
    if (sessionToken !== undefined) withToken(this.#s3, sessionToken);
  }

  get partBytes(): number {
    return this.#limits.part;
  }

  /** Now, by the server's clock: ms since 1970, as exact as its Date header. Null before the first answer. */
  get now(): number | null {
    return this.#clock === null ? null : this.#clock.server + performance.now() - this.#clock.own;
  }

  async put(key: string, value: Uint8Array): Promise<void> {
    await this.#do(key, () => this.#s3.putObject(key, value as Buffer, TYPE, undefined, headersOf(value)));
  }

  /**
   * False where there is a value already. A server that does not know If-None-Match is asked first, which is no guard
   * against another writer at the same moment.
   * @param probe a key that nobody uses, for finding out which it is.
   */
  async create(key: string, value: Uint8Array, probe: string): Promise<boolean> {
    this.#conditional ??= this.#knowsConditions(probe);
    const known = await this.#conditional.catch((error: unknown) => {
      this.#conditional = null;
      throw error;
    });
    if (known) return this.#createOnce(key, value);
    if ((await this.stat(key)) !== null) return false;
    await this.put(key, value);
    return true;
  }

  async #createOnce(key: string, value: Uint8Array): Promise<boolean> {
    let sent = 0;
    try {
      await this.#try(() => {
        sent++;
        return this.#s3.putObject(key, value as Buffer, TYPE, undefined, { ...headersOf(value), ...ONLY_NEW });
      });
      return true;
    } catch (error) {
      if (statusOf(error) !== 412) throw this.#explain(error, key);
      // Was it our own, whose answer was lost?
      return sent > 1 && (await this.get(key))?.equals(value) === true;
    }
  }

  async #knowsConditions(probe: string): Promise<boolean> {
    try {
      await this.#createOnce(probe, Buffer.from('1'));
      return !(await this.#createOnce(probe, Buffer.from('2')));
    } catch (error) {
      // 501 NotImplemented
      if (error instanceof PgorbitError && error.code === 'operation-failed' && /\b501\b/.test(error.message)) return false;
      throw error;
    } finally {
      await this.delete(probe);
    }
  }

  /** Null where there is none. */
  async get(key: string): Promise<Buffer | null> {
    const pieces: Buffer[] = [];
    try {
      for await (const piece of this.read(key)) pieces.push(piece);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null;
      throw error;
    }
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }

  /** Goes on where a broken connection ended, if the value is still the same. Throws ENOENT where there is none. */
  async *read(key: string, signal?: AbortSignal): AsyncIterable<Buffer> {
    let done = 0;
    let etag: string | null = null;
    for (let failed = 0; ; ) {
      signal?.throwIfAborted();
      try {
        const response: Response = done === 0 ? await this.#s3.getObjectRaw(key) : await this.#s3.getObjectRaw(key, false, done);
        const now: string | null = response.headers.get('etag');
        if (done > 0 && (response.status !== 206 || now !== etag)) {
          this.#cuts.get(response)?.abort();
          throw new PgorbitError('operation-failed', `${this.#where(key)} became another while it was read`, { hint: 'try again' });
        }
        etag = now;
        const end = done + Number(response.headers.get('content-length') ?? Number.NaN);
        for await (const piece of this.#body(response, signal)) {
          done += piece.length;
          failed = 0;
          yield piece;
        }
        if (done < end) throw new BrokenAnswer(`the answer for ${this.#where(key)} ended after ${done} bytes of ${end}`);
        return;
      } catch (error) {
        signal?.throwIfAborted();
        if (statusOf(error) === 404 && serviceCode(error) !== 'NoSuchBucket') throw missing(this.#where(key));
        if (!isPassing(error) || ++failed >= this.#limits.tries || this.#signal.aborted) throw this.#explain(error, key);
        await this.#pause(failed);
      }
    }
  }

  /** Null where there is none. */
  async stat(key: string): Promise<StoredValue | null> {
    // Of all keys that begin with it, it is the first.
    const [first] = (await this.#do(key, () => this.#s3.listObjects('/', key, 1))) ?? [];
    return first?.Key === key ? valueOf(first) : null;
  }

  /** Values whose keys begin with `prefix`; with `flat` only those with no `/` behind it, and `folders` for the others. */
  async list(prefix: string, flat: boolean): Promise<{ values: StoredValue[]; folders: string[] }> {
    const found = await this.#do(prefix, () => this.#s3.listObjects('/', prefix, undefined, flat ? { delimiter: '/' } : {}));
    if (found === null) throw this.#explain(new S3ServiceError('', 404, 'NoSuchBucket'), prefix);
    const below = found.filter(({ Key }) => Key.startsWith(prefix) && Key.length > prefix.length);
    const isFolder = ({ Key }: { Key: string }): boolean => flat && Key.endsWith('/');
    return { values: below.filter((one) => !isFolder(one)).map(valueOf), folders: below.filter(isFolder).map(({ Key }) => Key.slice(prefix.length, -1)) };
  }

  /** Does nothing where there is none. */
  async delete(key: string): Promise<void> {
    await this.#do(key, async () => {
      try {
        await this.#s3.deleteObject(key);
      } catch (error) {
        if (statusOf(error) !== 404 || serviceCode(error) === 'NoSuchBucket') throw error;
      }
    });
  }

  /** Begins a multipart upload: there is no value, nor any part that counts, before `complete`. */
  async upload(key: string): Promise<Upload> {
    const id = await this.#do(key, () => this.#s3.getMultipartUploadId(key, TYPE));
    const parts: { partNumber: number; etag: string }[] = [];
    return {
      part: async (number, bytes) => {
        const part = await this.#do(key, () => this.#s3.uploadPart(key, id, bytes as Buffer, number, {}, undefined, headersOf(bytes)));
        if (part.etag === '') throw this.#explain(new BrokenAnswer(`part ${number} of ${this.#where(key)} has no ETag`), key);
        parts.push(part);
      },
      complete: async (size) => {
        parts.sort((a, b) => a.partNumber - b.partNumber);
        await this.#do(key, async () => {
          try {
            const { etag } = await this.#s3.completeMultipartUpload(key, id, parts);
            // The answer begins with 200 before the server knows; the error is in its text ("CompleteMultipartUpload" of the S3 API).
            if (typeof etag !== 'string') throw new BrokenAnswer(`the parts of ${this.#where(key)} were not put together`);
          } catch (error) {
            // The first try may have done it, and its answer was lost.
            if (serviceCode(error) !== 'NoSuchUpload' || (await this.stat(key))?.size !== size) throw error;
          }
        });
      },
      abort: () => this.abortUpload(key, id),
    };
  }

  async abortUpload(key: string, id: string): Promise<void> {
    await this.#do(key, async () => {
      try {
        await this.#s3.abortMultipartUpload(key, id);
      } catch (error) {
        if (statusOf(error) !== 404 || serviceCode(error) === 'NoSuchBucket') throw error;
      }
    });
  }

  /** Multipart uploads under way for keys that begin with `prefix`, at most a thousand; none where the server cannot tell. */
  async uploads(prefix: string): Promise<{ key: string; id: string }[]> {
    let answer: unknown;
    try {
      answer = await this.#try(() => this.#s3.listMultipartUploads('/', '', 'GET', { prefix }));
    } catch (error) {
      if (statusOf(error) === 501 || statusOf(error) === 405) return [];
      throw this.#explain(error, prefix);
    }
    const result = (answer as Record<string, { Upload?: unknown } | undefined>)['ListMultipartUploadsResult'];
    const uploads = [result?.Upload ?? []].flat() as { Key?: unknown; UploadId?: unknown }[];
    return uploads.flatMap(({ Key, UploadId }) => (typeof Key === 'string' && typeof UploadId === 'string' && Key.startsWith(prefix) ? [{ key: Key, id: UploadId }] : []));
  }

  async #do<T>(key: string, work: () => Promise<T>): Promise<T> {
    try {
      return await this.#try(work);
    } catch (error) {
      throw this.#explain(error, key);
    }
  }

  async #try<T>(work: () => Promise<T>): Promise<T> {
    const parting = this.#signal.aborted;
    for (let failed = 0; ; ) {
      try {
        return await work();
      } catch (error) {
        if (!parting) this.#signal.throwIfAborted();
        if (parting || !isPassing(error) || ++failed >= this.#limits.tries) throw error;
        await this.#pause(failed);
        this.#signal.throwIfAborted();
      }
    }
  }

  async #pause(failed: number): Promise<void> {
    const longest = Math.min(this.#limits.mostWait, this.#limits.firstWait * 2 ** (failed - 1));
    await sleep(longest * (0.5 + Math.random() / 2), this.#signal);
  }

  #where(key: string): string {
    return `s3://${this.#settings.bucket}/${key}`;
  }

  #explain(error: unknown, key: string): unknown {
    return explainS3(error, { where: this.#where(key), ...this.#settings });
  }

  /** Answers are read at once, but for a value's bytes: those come as they are asked for. */
  async #fetch(input: Parameters<typeof fetch>[0], init: RequestInit = {}): Promise<Response> {
    const parting = this.#signal.aborted;
    const cut = new AbortController();
    const end = (): void => cut.abort(this.#signal.reason);
    const sent = init.body instanceof Uint8Array ? init.body.length : 0;
    const most = parting ? PARTING_MS : this.#limits.silence + (sent / SLOWEST) * 1000;
    const timer = setTimeout(() => cut.abort(new Stalled(`no answer within ${most} ms`)), most);
    if (!parting) this.#signal.addEventListener('abort', end, { once: true });
    try {
      const headers = { ...(init.headers as Record<string, string>), 'accept-encoding': 'identity' };
      const response = await fetch(input, { ...init, headers, signal: cut.signal, redirect: 'manual' });
      const server = Date.parse(response.headers.get('date') ?? '');
      if (Number.isFinite(server)) this.#clock = { server, own: performance.now() };
      if (init.method === 'GET' && response.ok && !String(input).includes('?')) {
        this.#cuts.set(response, cut);
        return response;
      }
      const bytes = await response.arrayBuffer();
      return new Response(bytes.byteLength === 0 ? null : bytes, { status: response.status, headers: response.headers });
    } catch (error) {
      throw cut.signal.aborted ? cut.signal.reason : error;
    } finally {
      clearTimeout(timer);
      this.#signal.removeEventListener('abort', end);
    }
  }

  async *#body(response: Response, signal: AbortSignal | undefined): AsyncIterable<Buffer> {
    const cut = this.#cuts.get(response);
    if (response.body === null || cut === undefined) return;
    const end = (): void => cut.abort(signal?.aborted === true ? signal.reason : this.#signal.reason);
    for (const one of [this.#signal, signal]) one?.addEventListener('abort', end, { once: true });
    const reader = response.body.getReader();
    try {
      for (;;) {
        const timer = setTimeout(() => cut.abort(new Stalled(`no byte within ${this.#limits.silence} ms`)), this.#limits.silence);
        const { done, value } = await reader.read().finally(() => clearTimeout(timer));
        if (done) return;
        yield Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      }
    } catch (error) {
      throw cut.signal.aborted ? cut.signal.reason : error;
    } finally {
      for (const one of [this.#signal, signal]) one?.removeEventListener('abort', end);
      cut.abort();
    }
  }
}

export interface Upload {
  /** Parts are numbered from 1; each but the last has `partBytes` at least. */
  part(number: number, bytes: Uint8Array): Promise<void>;
  /** Durable when it resolves. @param size of all parts. */
  complete(size: number): Promise<void>;
  abort(): Promise<void>;
}

const valueOf = ({ Key, Size, LastModified }: { Key: string; Size: number; LastModified: Date }): StoredValue => ({ key: Key, size: Size, modifiedMs: LastModified.getTime() });

/** s3mini signs and sends whatever it is given; its type knows only names of AWS's own. */
function headersOf(value: Uint8Array): Record<string, string> {
  return { 'content-md5': createHash('md5').update(value).digest('base64') };
}

/** s3mini has no place for the token of temporary keys, which has to be among the signed headers; this is how it signs. */
const SIGN = '_sign';
type Signer = (method: string, path: string, query: object, headers: Record<string, string | number>) => Promise<unknown>;

function withToken(s3: S3mini, token: string): void {
  const signer = s3 as unknown as Record<typeof SIGN, Signer>;
  const sign = signer[SIGN].bind(s3);
  signer[SIGN] = (method, path, query, headers) => sign(method, path, query, { ...headers, 'x-amz-security-token': token });
}
