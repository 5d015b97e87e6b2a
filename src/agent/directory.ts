/**
 * Where the agents are reached: as the cluster's document says, and for hosts that it does not name yet as agent.json
 * says, which an agent needs before it can ask anyone. A client for each is kept.
 */
import type { AgentAddress } from './config.ts';
import type { Identity } from './identity/ca.ts';
import { RpcClient } from './rpc/client.ts';
import { PgorbitError } from '../errors.ts';

/** The document at AGENTS_KEY: the hosts whose agents have been here, and where they listen. */
export type AgentsDocument = Record<string, { address: string; port: number }>;

/**
 * What is known from the hints, the document and the hosts of the manifest (null: there is none yet). A hint for a host
 * that the document does not name counts while the manifest names it: its agent has only not been here yet. Pure.
 */
export function knownAgents(hints: readonly AgentAddress[], document: AgentsDocument | null, hosts: readonly string[] | null): AgentAddress[] {
  const entries = Object.entries(document ?? {}).map(([host, { address, port }]) => ({ host, address, port }));
  const hinted = hints.filter(({ host }) => !entries.some((entry) => entry.host === host) && (hosts === null || hosts.includes(host)));
  return [...entries, ...hinted].sort((a, b) => (a.host < b.host ? -1 : 1));
}

export class Directory {
  readonly #clients = new Map<string, RpcClient>();
  readonly #onChange: (agents: AgentAddress[]) => void;
  #agents: AgentAddress[];
  #identity: Identity;

  /** @param onChange is told of every change after the first list. */
  constructor(agents: readonly AgentAddress[], identity: Identity, onChange: (agents: AgentAddress[]) => void) {
    this.#agents = [...agents];
    this.#identity = identity;
    this.#onChange = onChange;
  }

  list(): AgentAddress[] {
    return this.#agents;
  }

  /** The document or the manifest changed. An agent always knows itself. */
  update(document: AgentsDocument | null, hosts: readonly string[] | null, self: AgentAddress): void {
    const known = knownAgents(this.#agents, document, hosts);
    const agents = known.some(({ host }) => host === self.host) ? known : [...known, self];
    if (JSON.stringify(agents) === JSON.stringify(this.#agents)) return;
    this.#agents = agents;
    for (const [host, client] of this.#clients) {
      if (agents.some((agent) => agent.host === host && agent.address === client.target.address && agent.port === client.target.port)) continue;
      client.close();
      this.#clients.delete(host);
    }
    this.#onChange(agents);
  }

  /** What is shown from now on; calls that run end as they began. */
  setIdentity(identity: Identity): void {
    this.#identity = identity;
    for (const client of this.#clients.values()) client.setIdentity(identity);
  }

  /** Throws `no-such-host` for a host that the cluster does not have, or that has not joined it yet. */
  clientOf(host: string): RpcClient {
    const target = this.#agents.find((agent) => agent.host === host);
    if (target === undefined) throw new PgorbitError('no-such-host', `no agent of host ${host} is known`, { hint: '`pgorbit host ls` shows which have joined' });
    const client = this.#clients.get(host) ?? new RpcClient(target, this.#identity);
    this.#clients.set(host, client);
    return client;
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }
}
