/** What went wrong with an S3 store: whether to try again, and how to say it to a person. Pure. */
import { S3ServiceError } from 's3mini';
import { type ErrorCode, errnoOf, PgorbitError } from '../../errors.ts';

/** What the server calls it; s3mini knows it only where the answer has one content type. */
export function serviceCode(error: unknown): string | null {
  if (!(error instanceof S3ServiceError)) return null;
  if (error.serviceCode !== undefined && error.serviceCode !== 'Unknown') return error.serviceCode;
  return /<Code>([^<]+)<\/Code>/.exec(error.body ?? '')?.[1] ?? null;
}

export const statusOf = (error: unknown): number | null => (error instanceof S3ServiceError ? error.status : null);

/** Answers that say "later", or that the request was damaged on its way. */
const PASSING = new Set(['InternalError', 'SlowDown', 'SlowDownRead', 'SlowDownWrite', 'ServiceUnavailable', 'RequestTimeout', 'BadDigest', 'XAmzContentChecksumMismatch', 'IncompleteBody', 'OperationAborted', 'ConditionalRequestConflict', 'Throttling', 'RequestLimitExceeded', 'XMinioServerNotInitialized']);

/** Where another try helps none. */
const LASTING_NETWORK = /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL|EPROTO|ERR_INVALID/;

/** Raised here when a server does not answer, or stops in the middle. */
export class Stalled extends Error {
  readonly code = 'ETIMEDOUT';
}

/** An answer of 200 that is none. */
export class BrokenAnswer extends Error {}

export function isPassing(error: unknown): boolean {
  if (error instanceof PgorbitError) return false;
  if (error instanceof Stalled || error instanceof BrokenAnswer) return true;
  const status = statusOf(error);
  if (status !== null) return (status >= 500 && status !== 501 && status !== 507) || status === 429 || status === 408 || PASSING.has(serviceCode(error) ?? '');
  const network = networkCode(error);
  return network !== null && !LASTING_NETWORK.test(network);
}

/** The code of a failed connection: fetch says only "fetch failed", and its cause the rest. */
function networkCode(error: unknown): string | null {
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    const code = errnoOf(one);
    if (code !== undefined) return code;
  }
  return error instanceof TypeError && /fetch failed|terminated/.test(error.message) ? 'ECONNRESET' : null;
}

export interface Place {
  /** `s3://bucket/prefix/key` */
  where: string;
  bucket: string;
  endpoint: string;
  region: string;
}

/** Codes of S3's table "Error responses" and of MinIO, for a person. */
const KNOWN: Record<string, (place: Place, error: S3ServiceError) => { code: ErrorCode; message: string; hint: string }> = {
  InvalidAccessKeyId: ({ endpoint }) => ({ code: 'permission', message: `${endpoint} does not know the access key`, hint: 'check AWS_ACCESS_KEY_ID (or accessKeyId in the --s3-config document), and that the endpoint is the one that gave the key' }),
  SignatureDoesNotMatch: ({ endpoint }) => ({ code: 'permission', message: `${endpoint} knows the access key, but the secret key does not belong to it`, hint: 'check AWS_SECRET_ACCESS_KEY (or secretAccessKey in the --s3-config document) for missing or added characters' }),
  ExpiredToken: ({ endpoint }) => ({ code: 'permission', message: `the temporary keys for ${endpoint} have expired`, hint: 'get new ones; for an archiver that runs for long, use keys that last' }),
  InvalidToken: ({ endpoint }) => ({ code: 'permission', message: `${endpoint} does not take the session token`, hint: 'check AWS_SESSION_TOKEN; unset it for keys that are not temporary' }),
  RequestTimeTooSkewed: ({ endpoint }) => ({ code: 'operation-failed', message: `the clock of this machine differs from that of ${endpoint} by more than 15 minutes`, hint: 'set the clock (`timedatectl set-ntp true`), and try again' }),
  NoSuchBucket: ({ bucket, endpoint }) => ({ code: 'no-such-backup', message: `there is no bucket ${bucket} at ${endpoint}`, hint: 'make it, or check the name, --s3-endpoint and --s3-region: pgorbit makes no buckets' }),
  AuthorizationHeaderMalformed: wrongRegion,
  PermanentRedirect: wrongRegion,
  IllegalLocationConstraintException: wrongRegion,
  AccessDenied: ({ where }) => ({ code: 'permission', message: `the key may not do that with ${where}`, hint: 'it needs s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, and s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on what lies in it' }),
  QuotaExceeded: full,
  XMinioStorageFull: full,
  InvalidObjectState: ({ where }) => ({ code: 'operation-failed', message: `${where} lies in a storage class that cannot be read at once`, hint: 'restore it from the archive tier first (`aws s3api restore-object`)' }),
};

function wrongRegion({ bucket, region }: Place, error: S3ServiceError): { code: ErrorCode; message: string; hint: string } {
  const right = /<Region>([\w-]+)<\/Region>/.exec(error.body ?? '')?.[1];
  return { code: 'usage', message: `bucket ${bucket} is not in region ${region}${right === undefined ? '' : `, but in ${right}`}`, hint: `--s3-region ${right ?? 'REGION'}, or AWS_REGION, names the right one` };
}

function full({ where }: Place): { code: ErrorCode; message: string; hint: string } {
  return { code: 'volume-full', message: `there is no room left for ${where}`, hint: 'make room there, or raise the quota (`pgorbit backup rm --keep N` drops old backups), and try again' };
}

/** An answer's text is not kept as the cause: it quotes keys and signatures, and a log would have it. */
export function explainS3(error: unknown, place: Place): unknown {
  if (error instanceof PgorbitError) return error;
  const status = statusOf(error);
  if (error instanceof S3ServiceError && status !== null) {
    const code = serviceCode(error) ?? (status === 403 ? 'AccessDenied' : status === 301 ? 'PermanentRedirect' : status === 507 ? 'XMinioStorageFull' : '');
    const known = KNOWN[code]?.(place, error);
    if (known !== undefined) return new PgorbitError(known.code, known.message, { hint: known.hint });
    const shown = `${status}${/^\w+$/.test(code) ? ` ${code}` : ''}`;
    if (isPassing(error)) return new PgorbitError('host-unreachable', `${place.endpoint} answers ${shown} again and again for ${place.where}`, { hint: 'it is overloaded or out of order: try again later' });
    return new PgorbitError('operation-failed', `${place.endpoint} refused ${place.where}: ${shown}`, { hint: 'look the code up in the documentation of the store; is it one that speaks S3?' });
  }
  if (error instanceof BrokenAnswer) return new PgorbitError('operation-failed', `${place.endpoint}: ${error.message}`, { hint: 'is it a server that speaks S3?', cause: error });
  const network = networkCode(error);
  if (network === null) return error;
  if (LASTING_NETWORK.test(network)) return new PgorbitError('host-unreachable', `the certificate of ${place.endpoint} is not accepted: ${network}`, { hint: 'for an authority of your own, NODE_EXTRA_CA_CERTS names the file with its certificate', cause: error });
  const what = network === 'ENOTFOUND' || network === 'EAI_AGAIN' ? 'its name is not known' : network === 'ECONNREFUSED' ? 'nobody listens there' : `the connection breaks off or is silent (${network})`;
  return new PgorbitError('host-unreachable', `${place.endpoint} cannot be reached: ${what}`, { hint: 'check --s3-endpoint (or AWS_ENDPOINT_URL), the network and the firewall, and try again', cause: error });
}
