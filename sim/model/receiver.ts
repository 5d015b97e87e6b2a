/**
 * A WAL receiver: it writes what comes, flushes what it has written, and only then acknowledges; the three are
 * moments of their own. It goes on for a while after it was told to end.
 */
import { Violation } from '../kernel/violation.ts';
import type { Server } from './server.ts';
import type { Stream } from './stream.ts';
import { segmentStart, timelineOf, type WalRecord } from './wal.ts';

export class Receiver {
  readonly server: Server;
  /** Null while it connects. */
  stream: Stream | null = null;
  /** What it was started for: the upstream's port and its own name. */
  readonly port: number;
  readonly name: string;
  /** pg_last_wal_receive_lsn(): after a connection the start of a segment, however much there is on the disk. */
  received: number;
  ended = false;

  constructor(server: Server, port: number, name: string) {
    this.server = server;
    this.port = port;
    this.name = name;
    this.received = segmentStart(server.data.wal.length);
    server.receiver = this;
  }

  /** The connection stands. It begins by saying what is replayed: that was flushed before. */
  streams(stream: Stream): void {
    this.stream = stream;
    stream.acknowledge(Math.min(this.server.replayed, this.server.data.flushed), this.server.replayed);
    stream.pump();
  }

  take(stream: Stream, from: number, records: readonly WalRecord[]): void {
    const { server } = this;
    if (this.ended || this.stream !== stream || !server.alive) return;
    const { wal } = server.data;
    if (from > wal.length) throw new Violation('gap', `${server.member} is sent WAL from ${from} on and has ${wal.length}`);
    const known = wal.slice(from);
    const common = Math.min(known.length, records.length);
    if (common > 0 && known[common - 1] !== records[common - 1]) {
      // The upstream began a timeline before the end of this WAL: its walsender ends the old one there.
      if (known[common - 1]!.timeline !== records[common - 1]!.timeline) return this.end();
      throw new Violation('diverged', `${server.member} goes on from WAL that is not its own: timeline ${timelineOf(wal)} was made twice`);
    }
    for (let i = known.length; i < records.length; i += 1) wal.push(records[i]!);
    if (!server.world.rules.flushFirst) stream.acknowledge(wal.length, server.replayed);
    server.flush();
  }

  /** More is durable: that may be said. */
  flushed(): void {
    const { data, replayed } = this.server;
    this.received = Math.max(this.received, data.flushed);
    if (!this.ended) this.stream?.acknowledge(data.flushed, replayed);
  }

  /** SIGTERM, or its upstream's doing: from now on it acknowledges nothing. What it had written it flushes. */
  end(silently = false): void {
    if (this.ended) return;
    this.ended = true;
    const { server } = this;
    if (server.receiver === this) server.receiver = null;
    if (server.alive && !server.world.disksFull.has(server.member)) server.data.flushed = server.data.wal.length;
    this.stream?.closeByReceiver(silently);
  }

  lost(stream: Stream): void {
    if (this.stream === stream) this.end();
  }
}
