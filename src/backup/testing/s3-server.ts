/**
 * For tests: s3rver on loopback, in this process, with what it lacks of S3 (whole or no puts, the check of Content-MD5,
 * If-None-Match, continued lists, the list and the end of multipart uploads), and faults on demand.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { S3Limits } from '../s3/client.ts';
import type { LeaseTimes } from '../s3/lease.ts';
import { S3Store } from '../s3/s3-store.ts';
import type { S3Settings } from '../s3/settings.ts';

export interface Asked {
  method: string;
  /** Without the bucket. */
  key: string;
  query: Record<string, string>;
  headers: Record<string, string | string[] | undefined>;
  /** Bytes of the body. */
  size: number;
}

export type Fault =
  | { kind: 'status'; status: number; code: string; body?: string }
  /** The connection breaks: before anything is done, or when all is done and only the answer is missing. */
  | { kind: 'drop'; done: boolean }
  /** The answer breaks off after so many bytes. */
  | { kind: 'cut'; bytes: number }
  /** A byte of the body is another one when it arrives. */
  | { kind: 'flip' }
  /** No answer. */
  | { kind: 'silence' };

export interface TestS3Options {
  /** Does the server know If-None-Match? Default true. */
  conditional?: boolean;
  /** Values in a page of a list. */
  page?: number;
}

interface Context {
  method: string;
  path: string;
  query: Record<string, string>;
  headers: Record<string, string | string[] | undefined>;
  req: IncomingMessage;
  res: ServerResponse;
  status: number;
  body: unknown;
  type: string;
  respond: boolean;
  set: (name: string, value: string) => void;
}

interface Stored {
  bucket: string;
  key: string;
  content: Buffer | Readable;
  metadata: Record<string, unknown>;
}

interface Files {
  getResourcePath: (bucket: string, key: string | undefined, resource: string) => string;
  putMetadata: (bucket: string, key: string, metadata: object, md5: string) => Promise<void>;
  existsObject: (bucket: string, key: string) => Promise<boolean>;
  putObject: (object: Stored) => Promise<{ size: number; md5: string }>;
  putPart: (bucket: string, id: string, part: string, content: Readable) => Promise<{ size: number; md5: string }>;
  putObjectMultipart: (bucket: string, id: string, parts: { number: number }[]) => Promise<{ size: number; md5: string }>;
  deleteObject: (bucket: string, key: string) => Promise<void>;
}

interface S3rver {
  store: Files;
  middleware: ((context: Context, next: () => Promise<void>) => Promise<void>)[];
  httpServer: Server;
  run: () => Promise<{ port: number }>;
  close: () => Promise<void>;
}

const Rver = createRequire(import.meta.url)('s3rver') as new (options: object) => S3rver;

export const BUCKET = 'backups';

export class TestS3 {
  readonly dir: string;
  readonly asked: Asked[] = [];
  /** Looks at each request, and may spoil it. */
  fault: (asked: Asked) => Fault | null = () => null;
  readonly #server: S3rver;
  readonly #options: TestS3Options;
  readonly #serving = new Set<Promise<void>>();
  #port = 0;

  private constructor(options: TestS3Options) {
    this.#options = options;
    this.dir = mkdtempSync(join(tmpdir(), 'pgorbit-s3-'));
    this.#server = new Rver({ address: '127.0.0.1', port: 0, silent: true, directory: this.dir, vhostBuckets: false, configureBuckets: [{ name: BUCKET, configs: [] }] });
    mend(this.#server.store);
    this.#server.middleware.unshift((context, next) => {
      const serving = this.#serve(context, next).finally(() => this.#serving.delete(serving));
      this.#serving.add(serving);
      return serving;
    });
  }

  static async start(cleanup: (() => unknown)[], options: TestS3Options = {}): Promise<TestS3> {
    const s3 = new TestS3(options);
    cleanup.push(() => s3.#stop());
    s3.#port = (await s3.#server.run()).port;
    return s3;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  settings(more: Partial<S3Settings> = {}): S3Settings {
    return { bucket: BUCKET, prefix: 'here', endpoint: this.endpoint, region: 'us-east-1', style: 'path', accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', ...more };
  }

  /** Patient for milliseconds only. */
  store(more: { settings?: Partial<S3Settings>; limits?: Partial<S3Limits>; lease?: Partial<LeaseTimes>; signal?: AbortSignal } = {}): S3Store {
    return new S3Store(this.settings(more.settings), {
      signal: more.signal ?? new AbortController().signal, lease: { wait: 20, ...more.lease },
      limits: { tries: 5, firstWait: 5, mostWait: 20, ...more.limits },
    });
  }

  /** Keys of all values, without the bucket. */
  keys(): string[] {
    const found: string[] = [];
    const walk = (folder: string, before: string): void => {
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (entry.isDirectory()) walk(join(folder, entry.name), `${before}${entry.name}/`);
        else if (entry.name.endsWith('._S3rver_object')) found.push(`${before}${entry.name.slice(0, -'._S3rver_object'.length)}`);
      }
    };
    walk(join(this.dir, BUCKET), '');
    return found.sort();
  }

  /** The file with a value's bytes. */
  file(key: string): string {
    return this.#server.store.getResourcePath(BUCKET, key, 'object');
  }

  /** Multipart uploads that were neither completed nor aborted. */
  uploads(): { id: string; key: string }[] {
    const dir = this.#server.store.getResourcePath(BUCKET, undefined, 'uploads');
    return existsSync(dir) ? readdirSync(dir).map((id) => ({ id, key: readFileSync(join(dir, id, 'key'), 'utf8') })) : [];
  }

  async #stop(): Promise<void> {
    this.#server.httpServer.closeAllConnections();
    await Promise.allSettled(this.#serving);
    await this.#server.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  async #serve(context: Context, next: () => Promise<void>): Promise<void> {
    const [, bucket = '', key = ''] = /^\/([^/]*)\/?(.*)$/.exec(decodeURIComponent(context.path)) ?? [];
    let body = await buffer(context.req);
    const asked: Asked = { method: context.method, key, query: context.query, headers: context.headers, size: body.length };
    this.asked.push(asked);
    const fault = this.fault(asked);
    if (fault?.kind === 'flip') body = Buffer.from(body.map((byte, at) => (at === 0 ? byte ^ 1 : byte)));
    if (fault?.kind === 'drop' && !fault.done) return hangUp(context);
    if (fault?.kind === 'silence') return void (context.respond = false);
    if (fault?.kind === 'status') return fail(context, fault.status, fault.code, fault.body);
    context.req = Object.assign(Readable.from(body.length === 0 ? [] : [body]), { headers: context.req.headers, method: context.req.method, url: context.req.url }) as unknown as IncomingMessage;
    await this.#answer(context, { bucket, key, body }, next);
    if (fault?.kind === 'drop') return hangUp(context);
    if (fault?.kind === 'cut') return cutShort(context, fault.bytes);
  }

  async #answer(context: Context, { bucket, key, body }: { bucket: string; key: string; body: Buffer }, next: () => Promise<void>): Promise<void> {
    const { method, query, headers } = context;
    const md5 = headers['content-md5'];
    if (md5 !== undefined && md5 !== createHash('md5').update(body).digest('base64')) return fail(context, 400, 'BadDigest');
    if (bucket !== BUCKET) return next();
    if (this.#options.conditional !== false && method === 'PUT' && headers['if-none-match'] === '*' && (await this.#server.store.existsObject(bucket, key))) return fail(context, 412, 'PreconditionFailed');
    if (method === 'GET' && key === '' && query['list-type'] === '2') return this.#list(context);
    if (method === 'GET' && key === '' && 'uploads' in query) {
      const found = this.uploads().filter((one) => one.key.startsWith(query['prefix'] ?? ''));
      return xml(context, `<ListMultipartUploadsResult>${found.map((one) => `<Upload><Key>${one.key}</Key><UploadId>${one.id}</UploadId></Upload>`).join('')}</ListMultipartUploadsResult>`);
    }
    if (method === 'DELETE' && query['uploadId'] !== undefined) {
      const dir = join(this.#server.store.getResourcePath(BUCKET, undefined, 'uploads'), query['uploadId']);
      if (!existsSync(dir)) return fail(context, 404, 'NoSuchUpload');
      rmSync(dir, { recursive: true });
      context.status = 204;
      return;
    }
    if (query['uploadId'] !== undefined && !this.uploads().some(({ id }) => id === query['uploadId'])) return fail(context, 404, 'NoSuchUpload');
    await next();
  }

  #list(context: Context): void {
    const { prefix = '', delimiter, 'max-keys': most = '1000', 'continuation-token': token } = context.query;
    const keys = this.keys().filter((key) => key.startsWith(prefix));
    const after = token === undefined ? '' : Buffer.from(token, 'base64').toString('utf8');
    const folderOf = (key: string): string | null => (delimiter === undefined || !key.slice(prefix.length).includes(delimiter) ? null : key.slice(0, key.indexOf(delimiter, prefix.length) + 1));
    const all = [...new Set(keys.map((key) => folderOf(key) ?? key))];
    const rest = all.filter((one) => one > after).sort();
    const page = rest.slice(0, Math.min(Number(most), this.#options.page ?? 1000));
    const more = rest.length > page.length;
    xml(context, `<ListBucketResult><IsTruncated>${more}</IsTruncated>${page.map((one) => this.#entry(one)).join('')}${more ? `<NextContinuationToken>${Buffer.from(page.at(-1)!).toString('base64')}</NextContinuationToken>` : ''}</ListBucketResult>`);
  }

  #entry(key: string): string {
    if (!existsSync(this.file(key))) return `<CommonPrefixes><Prefix>${key}</Prefix></CommonPrefixes>`;
    const { size, mtime } = statSync(this.file(key));
    return `<Contents><Key>${key}</Key><LastModified>${mtime.toISOString()}</LastModified><Size>${size}</Size></Contents>`;
  }
}

/** s3rver says that a value is there before it is written, and removes folders that others are about to write to. */
function mend(files: Files): void {
  const write = (path: string, bytes: Buffer): { size: number; md5: string } => {
    mkdirSync(dirname(path), { recursive: true });
    const aside = `${path}.${randomBytes(4).toString('hex')}`;
    writeFileSync(aside, bytes);
    const md5 = createHash('md5').update(bytes).digest('hex');
    writeFileSync(`${path}.md5`, md5);
    renameSync(aside, path);
    return { size: bytes.length, md5 };
  };
  files.putObject = async ({ bucket, key, content, metadata }) => {
    const put = write(files.getResourcePath(bucket, key, 'object'), Buffer.isBuffer(content) ? content : await buffer(content));
    await files.putMetadata(bucket, key, metadata, put.md5);
    return put;
  };
  const uploadDir = (bucket: string, id: string): string => join(files.getResourcePath(bucket, undefined, 'uploads'), id);
  files.putPart = async (bucket, id, part, content) => write(join(uploadDir(bucket, id), part), await buffer(content));
  files.putObjectMultipart = async (bucket, id, parts) => {
    const dir = uploadDir(bucket, id);
    const key = readFileSync(join(dir, 'key'), 'utf8');
    const content = Buffer.concat(parts.sort((a, b) => a.number - b.number).map(({ number }) => readFileSync(join(dir, String(number)))));
    const put = await files.putObject({ bucket, key, content, metadata: {} });
    rmSync(dir, { recursive: true });
    return put;
  };
  files.deleteObject = async (bucket, key) => {
    for (const what of ['object', 'object.md5', 'metadata.json']) rmSync(files.getResourcePath(bucket, key, what), { force: true });
  };
}

function xml(context: Context, text: string): void {
  context.status = 200;
  context.type = 'application/xml';
  context.body = `<?xml version="1.0" encoding="UTF-8"?>\n${text}`;
}

function fail(context: Context, status: number, code: string, more = ''): void {
  xml(context, `<Error><Code>${code}</Code><Message>as the test wants it</Message>${more}</Error>`);
  context.status = status;
}

function hangUp(context: Context): void {
  context.respond = false;
  context.res.destroy();
}

/** Only for answers with a body. */
async function cutShort(context: Context, bytes: number): Promise<void> {
  const whole = context.body instanceof Readable ? await buffer(context.body) : Buffer.from(String(context.body ?? ''));
  context.respond = false;
  context.res.writeHead(context.status, { ...(context.res.getHeaders() as Record<string, string>), 'content-length': String(whole.length) });
  context.res.write(whole.subarray(0, bytes), () => context.res.destroy());
}
