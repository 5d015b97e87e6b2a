/** When this agent last heard whoever leads. Pure: times come in as arguments, in ms of the monotonic clock. */
import type { Message } from './core/types.ts';

const FROM_LEADER: ReadonlySet<Message['type']> = new Set(['append', 'heartbeat', 'snapshot']);

export const isFromLeader = ({ type }: Pick<Message, 'type'>): boolean => FROM_LEADER.has(type);

export class Contact {
  #at = -Infinity;
  #term = 0;

  /** A leader's message has come; one of an earlier term than `ownTerm` is from a leader that no longer is one. */
  heard(message: Pick<Message, 'term'>, ownTerm: number, now: number): void {
    if (message.term < ownTerm) return;
    this.#at = now;
    this.#term = message.term;
  }

  /** ms since the leader of `term` was heard; Infinity when it never was. */
  heardMsAgo(term: number, now: number): number {
    return this.#term === term ? now - this.#at : Infinity;
  }
}
