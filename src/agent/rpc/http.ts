/** Requests and answers as HTTP: JSON bodies of a bounded size, errors as ErrorReport. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PgorbitError, type ErrorReport } from '../../errors.ts';

/** The largest request that is read, in bytes. */
export const BODY_LIMIT = 8 * 1024 * 1024;

/**
 * The request: GET has it in the query (strings), POST in a JSON body (an object; none means {}) of up to `limit` bytes.
 * @throws PgorbitError `usage` for a body that is too large or is no JSON object.
 */
export async function readRequest(request: IncomingMessage, limit: number = BODY_LIMIT): Promise<object> {
  if (request.method === 'GET') return Object.fromEntries(new URL(request.url ?? '/', 'https://agent').searchParams);
  const text = await readBody(request, limit);
  if (text === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new PgorbitError('usage', 'The request is no JSON.', { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new PgorbitError('usage', 'The request is no JSON object.');
  return value;
}

async function readBody(request: IncomingMessage, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  // destroyOnReturn: false, because the answer has yet to go out over the same connection.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += (chunk as Buffer).length;
    if (size > limit) throw tooLarge();
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

export function tooLarge(): PgorbitError {
  return new PgorbitError('usage', `The request is larger than ${BODY_LIMIT} bytes.`, { hint: 'An agent takes requests of up to 8 MB.' });
}

export function sendAnswer(response: ServerResponse, value: unknown): void {
  send(response, 200, value ?? {});
}

export function sendError(response: ServerResponse, status: number, report: ErrorReport): void {
  // What is left of the request is not read: the connection cannot be used again.
  if (!response.req.complete) response.setHeader('connection', 'close');
  send(response, status, report);
}

function send(response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value);
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
