/**
 * One replication connection: the walsender's end of it, and the two directions of the network. It lives on at the
 * sender for a while after its receiver has gone without a word.
 */
import type { Pipe } from '../world/network.ts';
import type { Receiver } from './receiver.ts';
import type { Server } from './server.ts';
import type { WalRecord } from './wal.ts';

/** wal_sender_timeout and wal_receiver_timeout. */
export const SILENCE_MS = 5_000;

export class Stream {
  readonly sender: Server;
  readonly receiver: Receiver;
  /** application_name */
  readonly name: string;
  readonly slot: string | null;
  /** What the receiver has flushed, as it said last; null before its first word. */
  flushed: number | null = null;
  replayed = 0;
  /** The last record that it had flushed when it said so. */
  has: WalRecord | null = null;
  /** synchronous_standby_names as this walsender has read them. */
  names = '';
  readonly #there: Pipe;
  readonly #back: Pipe;
  #sent: number;
  #open = true;
  #receiverGone: number | null = null;

  constructor(sender: Server, receiver: Receiver, options: { name: string; slot: string | null; from: number; names: string }) {
    this.sender = sender;
    this.receiver = receiver;
    this.name = options.name;
    this.slot = options.slot;
    this.names = options.names;
    this.#sent = options.from;
    const { network } = sender.world;
    this.#there = network.pipe(sender.host, receiver.server.host);
    this.#back = network.pipe(receiver.server.host, sender.host);
    sender.streams = [...sender.streams, this];
  }

  get open(): boolean {
    return this.#open;
  }

  /** Sends what is durable at the sender and not yet sent. */
  pump(): void {
    const { wal, flushed } = this.sender.data;
    if (!this.#open || this.#sent >= flushed) return;
    const from = this.#sent;
    const records = wal.slice(from, flushed);
    this.#sent = flushed;
    const { receiver } = this;
    this.#there.send(() => receiver.server.process.deliver(() => receiver.take(this, from, records)));
  }

  /** The receiver's word of what it has. */
  acknowledge(flushed: number, replayed: number): void {
    const { sender } = this;
    const has = this.receiver.server.data.wal[flushed - 1] ?? null;
    this.#back.send(() => sender.process.deliver(() => {
      if (!this.#open) return;
      this.flushed = flushed;
      this.has = has;
      this.replayed = replayed;
      sender.heard(this);
    }));
  }

  closeBySender(silently: boolean): void {
    if (!this.#open) return;
    this.#open = false;
    this.sender.streams = this.sender.streams.filter((one) => one !== this);
    this.#back.close();
    const { receiver } = this;
    if (!silently) this.#there.send(() => receiver.server.process.deliver(() => receiver.lost(this)));
  }

  /** The receiver ends; the sender hears of it when the network lets it, or notices by the silence. */
  closeByReceiver(silently: boolean): void {
    this.#receiverGone ??= this.sender.world.clock.now;
    this.#there.close();
    const { sender } = this;
    if (!silently) this.#back.send(() => sender.process.deliver(() => this.closeBySender(true)));
  }

  /** To be asked now and then by both ends. */
  checkSilence(): void {
    if (!this.#open) return;
    const { sender, receiver } = this;
    const { network, clock } = sender.world;
    const gone = this.#receiverGone === null ? 0 : clock.now - this.#receiverGone;
    const quiet = Math.max(network.silence(receiver.server.host, sender.host), receiver.server.process.frozenFor(), gone);
    if (quiet > SILENCE_MS && !sender.process.frozen) this.closeBySender(false);
  }

  /** How long the receiver has heard nothing. */
  silentFor(): number {
    const { sender, receiver } = this;
    return Math.max(sender.world.network.silence(sender.host, receiver.server.host), sender.process.frozenFor(), sender.alive ? 0 : SILENCE_MS + 1);
  }
}
