/**
 * Where an S3 store is and by what right it is used: `s3://BUCKET/PREFIX`, options, the environment, and a document that
 * only its owner may read. What stands first in this list wins. Pure but for the document.
 */
import { readFile, stat } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { errnoOf, PgorbitError } from '../../errors.ts';

export interface S3Settings {
  bucket: string;
  /** Without `/` before and behind it; '' for the whole bucket. */
  prefix: string;
  /** `https://host[:port]`, without the bucket. */
  endpoint: string;
  region: string;
  /** `path`: the bucket stands behind the host's name (MinIO and most others); `host`: it is a part of it (AWS). */
  style: 'path' | 'host';
  accessKeyId: string;
  secretAccessKey: string;
  /** Of temporary keys. */
  sessionToken?: string;
}

/** Nothing secret: options are seen by everybody on the machine. */
export interface S3Options {
  endpoint?: string | undefined;
  region?: string | undefined;
  /** A YAML or JSON document. */
  config?: string | undefined;
}

const DOCUMENT = z.strictObject({
  endpoint: z.string().optional(),
  region: z.string().optional(),
  style: z.enum(['path', 'host']).optional(),
  accessKeyId: z.string().optional(),
  secretAccessKey: z.string().optional(),
  sessionToken: z.string().optional(),
});
type Document = z.infer<typeof DOCUMENT>;

const DEFAULT_REGION = 'us-east-1';
const KEYS_HINT = 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a document with --s3-config (or PGORBIT_S3_CONFIG) that holds accessKeyId and secretAccessKey, with mode 0600';

export const isS3 = (where: string): boolean => /^s3:\/\//i.test(where);

/** Throws PgorbitError `usage`, or `permission` for a document that others may read. */
export async function s3Settings(where: string, options: S3Options, env: NodeJS.ProcessEnv): Promise<S3Settings> {
  const { bucket, prefix } = parseWhere(where);
  const file = options.config ?? env['PGORBIT_S3_CONFIG'];
  const document: Document = file === undefined || file === '' ? {} : await readDocument(file);
  const from = (name: string, ...aws: string[]): string | undefined => [`PGORBIT_S3_${name}`, ...aws].map((one) => env[one]).find((value) => value !== undefined && value !== '');
  const accessKeyId = from('ACCESS_KEY_ID') ?? document.accessKeyId ?? from('ACCESS_KEY_ID', 'AWS_ACCESS_KEY_ID');
  const secretAccessKey = from('SECRET_ACCESS_KEY') ?? document.secretAccessKey ?? from('SECRET_ACCESS_KEY', 'AWS_SECRET_ACCESS_KEY');
  if (!accessKeyId || !secretAccessKey) throw new PgorbitError('usage', `there is no ${accessKeyId ? 'secret key' : 'access key'} for ${where}`, { hint: KEYS_HINT });
  const region = options.region ?? from('REGION') ?? document.region ?? from('REGION', 'AWS_REGION', 'AWS_DEFAULT_REGION') ?? DEFAULT_REGION;
  const endpoint = parseEndpoint(options.endpoint ?? from('ENDPOINT') ?? document.endpoint ?? from('ENDPOINT', 'AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL') ?? `https://s3.${region}.amazonaws.com`);
  const sessionToken = document.accessKeyId === accessKeyId ? document.sessionToken : from('SESSION_TOKEN', 'AWS_SESSION_TOKEN');
  return {
    bucket, prefix, endpoint, region, accessKeyId, secretAccessKey, style: parseStyle(from('STYLE') ?? document.style) ?? usualStyle(endpoint, bucket),
    ...(sessionToken === undefined ? {} : { sessionToken }),
  };
}

/** The prefix has no `.`, `..` or empty parts, which URLs would swallow. */
function parseWhere(where: string): { bucket: string; prefix: string } {
  const match = /^s3:\/\/([^/?#]+)\/?([^?#]*)$/i.exec(where);
  const bucket = match?.[1] ?? '';
  const prefix = (match?.[2] ?? '').replace(/\/+$/, '');
  const sound = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) && (prefix === '' || (/^[\w!*'(). /-]+$/.test(prefix) && prefix.split('/').every((part) => part !== '' && part !== '.' && part !== '..')));
  if (!sound) throw new PgorbitError('usage', `${JSON.stringify(where)} names no S3 store`, { hint: 'write s3://BUCKET or s3://BUCKET/PREFIX; a bucket has lower case letters, digits, - and ., and keys and passwords never stand there' });
  return { bucket, prefix };
}

function parseEndpoint(text: string): string {
  const full = /^https?:\/\//i.test(text) ? text : `https://${text}`;
  const url = URL.canParse(full) ? new URL(full) : null;
  if (url === null || url.username !== '' || url.password !== '' || url.search !== '' || (url.pathname !== '/' && url.pathname !== '')) {
    throw new PgorbitError('usage', 'the endpoint of the S3 store is no address of a server', { hint: 'write it as https://HOST or http://HOST:PORT, without the bucket, and without keys' });
  }
  return url.origin;
}

function parseStyle(text: string | undefined): S3Settings['style'] | undefined {
  if (text === undefined || text === 'path' || text === 'host') return text;
  throw new PgorbitError('usage', `PGORBIT_S3_STYLE is ${JSON.stringify(text)}`, { hint: 'it may be path or host' });
}

/** A certificate for `*.s3.amazonaws.com` does not hold for a bucket with a dot. */
function usualStyle(endpoint: string, bucket: string): S3Settings['style'] {
  return /\.amazonaws\.com(\.cn)?$/.test(new URL(endpoint).hostname) && !bucket.includes('.') ? 'host' : 'path';
}

async function readDocument(file: string): Promise<Document> {
  let text: string;
  try {
    const { mode } = await stat(file);
    text = await readFile(file, 'utf8');
    if ((mode & 0o077) !== 0) throw new PgorbitError('permission', `${file} holds keys, and others than its owner may read it`, { hint: `chmod 600 ${file}` });
  } catch (error) {
    if (error instanceof PgorbitError) throw error;
    if (errnoOf(error) === undefined) throw error;
    throw new PgorbitError(errnoOf(error) === 'EACCES' ? 'permission' : 'usage', `${file}, the settings of the S3 store, cannot be read: ${(error as Error).message}`, { hint: 'check --s3-config and PGORBIT_S3_CONFIG', cause: error });
  }
  let value: unknown;
  try {
    value = parse(text);
  } catch {
    // The parser's message quotes the line, which may hold a key.
    throw new PgorbitError('usage', `${file} is no YAML document`, { hint: 'it has lines such as `endpoint: https://minio.example:9000`' });
  }
  const parsed = DOCUMENT.safeParse(value ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new PgorbitError('usage', `${file}: ${issue.code === 'unrecognized_keys' ? `it has keys that are not known: ${issue.keys.join(', ')}` : `${issue.path.join('.')} is not as it should be`}`, { hint: `its keys are ${Object.keys(DOCUMENT.shape).join(', ')}` });
}
