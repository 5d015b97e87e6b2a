/**
 * How a stream begins: an HTTP Upgrade (RFC 9110, 7.8) on the agents' HTTPS port, so that port, certificates and who
 * may call are those of the calls.
 */
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { checkServerIdentity, type PeerCertificate, type SecureContext } from 'node:tls';
import type { RpcTarget } from './client.ts';

export const STREAM_PATH = '/v1/stream';
export const STREAM_PROTOCOL = 'pgorbit-stream/1';

/** A connection after the upgrade, and the first bytes that came with it. */
export interface Upgraded {
  socket: Socket;
  head: Buffer;
}

/** Takes a connection of the agent `caller`, and writes nothing before it returns. @returns why not, or null. */
export type AcceptStream = (caller: string, upgraded: Upgraded) => string | null;

/** Answers one request to upgrade. @param caller null when it is gone already. */
export function answerUpgrade(request: IncomingMessage, upgraded: Upgraded, caller: string | null, accept: AcceptStream | undefined): void {
  const { socket } = upgraded;
  // Without a listener an error of the connection would end the process.
  socket.on('error', () => socket.destroy());
  if (caller === null) return void socket.destroy();
  const asked = request.method === 'GET' && request.url === STREAM_PATH && request.headers.upgrade === STREAM_PROTOCOL;
  if (!asked || accept === undefined) return refuse(socket, 404, 'no such stream');
  const why = accept(caller, upgraded);
  if (why !== null) return refuse(socket, 403, why);
  if (!socket.destroyed) socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${STREAM_PROTOCOL}\r\n\r\n`);
}

function refuse(socket: Socket, status: number, why: string): void {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(why)}\r\n\r\n${why}`);
}

/**
 * Opens a stream to an agent. @param context holds the caller's certificate and the cluster's authority.
 * @throws Error that says why there is none; the signal's reason when it aborts.
 */
export function openStream(target: RpcTarget, context: SecureContext, signal: AbortSignal): Promise<Upgraded> {
  return new Promise((resolve, reject) => {
    // @types/node leaves secureContext out here; https passes every option on to tls.connect().
    const options: RequestOptions & { secureContext: SecureContext } = {
      agent: false,
      host: target.address,
      port: target.port,
      path: STREAM_PATH,
      headers: { connection: 'Upgrade', upgrade: STREAM_PROTOCOL },
      secureContext: context,
      servername: target.host,
      checkServerIdentity: (_name: string, certificate: PeerCertificate) => checkServerIdentity(target.host, certificate),
      signal,
    };
    const request = httpsRequest(options);
    request.on('upgrade', (_response, socket, head) => resolve({ socket: socket as Socket, head }));
    request.on('response', (response) => {
      response.resume();
      request.destroy();
      reject(new Error(`it answered with status ${response.statusCode}`));
    });
    request.on('error', (error) => reject(signal.aborted ? (signal.reason as Error) : error));
    request.end();
  });
}
