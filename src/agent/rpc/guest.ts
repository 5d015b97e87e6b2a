/**
 * Calls of somebody who has no certificate yet, only a token. The first connection asks for the authority, which has to
 * be the one whose fingerprint the token holds; over the second, which trusts that authority alone, the secret goes.
 */
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { PgorbitError } from '../../errors.ts';
import type { Calls } from '../api.ts';
import { certificatesIn, fingerprintOf } from '../identity/ca.ts';
import type { Token } from '../identity/token.ts';
import { readAnswer } from './client.ts';

const TIMEOUT_MS = 15_000;

type GuestCall = 'POST /v1/join' | 'POST /v1/login';

/**
 * Asks the agents that the token names, one after the other, until one answers.
 * @throws PgorbitError `agent-unreachable` when none does, `other-cluster` for one of another cluster, and what the
 *   agent says.
 */
export async function askAsGuest<K extends GuestCall>(token: Token, name: K, request: Calls[K]['request']): Promise<Calls[K]['answer']> {
  const failed: string[] = [];
  for (const { address, port } of token.agents) {
    const at = { host: address, port };
    try {
      // Not verified: what comes is compared with the fingerprint, and nothing is told.
      const { ca } = (await call({ ...at, rejectUnauthorized: false }, 'GET /v1/ca')) as Calls['GET /v1/ca']['answer'];
      const authority = certificatesIn(ca).find((one) => fingerprintOf(one) === token.ca);
      if (authority === undefined) {
        throw new PgorbitError('other-cluster', `what answers at ${address}:${port} is not of the cluster that the token is for`, {
          hint: 'somebody else took that address, or the authority was replaced since: make a new token',
        });
      }
      // Any agent of the cluster will do, whatever its name: the authority signs servers' certificates for agents only.
      return (await call({ ...at, ca: authority, checkServerIdentity: () => undefined }, name, request)) as Calls[K]['answer'];
    } catch (error) {
      if (error instanceof PgorbitError && error.code !== 'agent-unreachable') throw error;
      failed.push(`${address}:${port}: ${(error as Error).message}`);
    }
  }
  throw new PgorbitError('agent-unreachable', `no agent of cluster ${token.cluster} could be asked (${failed.join('; ')})`, {
    hint: 'their addresses have to be reachable from this machine; `pgorbit status` shows them where the cluster is managed',
  });
}

function call(options: RequestOptions, name: string, body?: object): Promise<unknown> {
  const [method, path] = name.split(' ') as [string, string];
  const text = body === undefined ? '' : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest({ ...options, method, path, agent: false, minVersion: 'TLSv1.3', headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }, signal: AbortSignal.timeout(TIMEOUT_MS) });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      readAnswer(response).then(resolve, reject);
    });
    outgoing.end(text);
  });
}
