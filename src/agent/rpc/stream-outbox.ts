/**
 * What waits to be sent to one agent. Bounded, whatever the peer does: of Raft's messages the oldest go, which Raft
 * sends anew; of reports only the newest waits. Pure: the time comes in as an argument, in ms.
 */
import type { StatusDocument } from '../api.ts';
import type { ReportRequest } from '../reporter.ts';
import type { Item } from './stream-items.ts';

/** Messages. */
const RAFT_AT_MOST = 256;
/** What has waited for longer is not sent any more: it would tell of a past that is over. ms */
const STALE_MS = 1_000;
/** Characters after which a frame is full. */
const FRAME_CHARACTERS = 256 * 1024;

interface Waiting {
  at: number;
  item: Item;
}

export class Outbox {
  #raft: Waiting[] = [];
  #report: Waiting | null = null;
  #ack: Waiting | null = null;
  #status: Waiting | null = null;
  #alive: Waiting | null = null;

  raft(message: object, at: number): void {
    this.#raft.push({ at, item: { kind: 'raft', message } });
    if (this.#raft.length > RAFT_AT_MOST) this.#raft.shift();
  }

  report(id: number, request: ReportRequest, at: number): void {
    this.#report = { at, item: { kind: 'report', id, request } };
  }

  /** An answer to a later report answers the earlier ones. */
  ack(id: number, known: boolean, at: number): void {
    this.#ack = { at, item: { kind: 'report-ack', id, known } };
  }

  /** Only the newest waits. */
  status(document: StatusDocument, at: number): void {
    this.#status = { at, item: { kind: 'status', document } };
  }

  /** There is a new connection: the peer may have been started anew, and its reports count from 1 again. */
  reconnected(): void {
    this.#ack = null;
  }

  alive(at: number): void {
    this.#alive = { at, item: { kind: 'alive' } };
  }

  /** The items of the next frame, each as JSON; empty when nothing waits. */
  take(now: number): string[] {
    const taken: string[] = [];
    let characters = 0;
    const add = ({ at, item }: Waiting): void => {
      if (now - at > STALE_MS) return;
      const text = JSON.stringify(item);
      characters += text.length;
      taken.push(text);
    };
    for (const slot of [this.#ack, this.#report, this.#status, this.#alive]) if (slot !== null) add(slot);
    this.#ack = null;
    this.#report = null;
    this.#status = null;
    this.#alive = null;
    let next = 0;
    for (; next < this.#raft.length && characters < FRAME_CHARACTERS; next += 1) add(this.#raft[next]!);
    this.#raft = next < this.#raft.length ? this.#raft.slice(next) : [];
    return taken;
  }

  get empty(): boolean {
    return this.#raft.length === 0 && this.#ack === null && this.#report === null && this.#status === null && this.#alive === null;
  }
}
