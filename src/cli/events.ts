/** The events of a cluster: every agent keeps its own, here they become one story. */
import type { OrbitEvent } from '../observe/event.ts';
import { PgorbitError } from '../errors.ts';
import type { Cluster } from './cluster.ts';

/** Reads on from where each agent's events were left. An agent that does not answer is asked again next time. */
export class EventReader {
  readonly #cluster: Cluster;
  readonly #after: Map<string, number>;

  private constructor(cluster: Cluster, after: Map<string, number>) {
    this.#cluster = cluster;
    this.#after = after;
  }

  static fromStart(cluster: Cluster): EventReader {
    return new EventReader(cluster, new Map());
  }

  /** Skips what has happened so far. */
  static async fromNow(cluster: Cluster): Promise<EventReader> {
    const reader = new EventReader(cluster, new Map());
    await reader.next();
    return reader;
  }

  /** The new events of all agents in the order of their time. */
  async next(): Promise<OrbitEvent[]> {
    return mergeEvents(await Promise.all(this.#cluster.hosts.map((host) => this.#ask(host))));
  }

  async #ask(host: string): Promise<OrbitEvent[]> {
    const after = this.#after.get(host) ?? 0;
    try {
      const answer = await this.#cluster.callHost(host, 'GET /v1/events', { after: String(after), waitMs: '0' });
      this.#after.set(host, answer.sequence);
      return answer.events;
    } catch (error) {
      if (error instanceof PgorbitError && (error.code === 'agent-unreachable' || error.code === 'timed-out')) return [];
      throw error;
    }
  }
}

/** By time, then host and sequence. Pure. */
export function mergeEvents(lists: readonly (readonly OrbitEvent[])[]): OrbitEvent[] {
  return lists.flat().sort((a, b) => a.time.localeCompare(b.time) || a.host.localeCompare(b.host) || a.sequence - b.sequence);
}
