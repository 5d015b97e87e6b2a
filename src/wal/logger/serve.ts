/**
 * The logger as a WAL sender for stock standbys and pg_receivewal: the commands and refusals of
 * backend/replication/walsender.c. Nothing is sent that is not durable here.
 */
import type { Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { PgorbitError, errnoOf } from '../../errors.ts';
import { Bell } from '../../lifecycle.ts';
import { INT8_OID, TEXT_OID, commandComplete, copyBothResponse, dataRow, emptyQueryResponse, readyForQuery, rowDescription } from '../../wire/backend.ts';
import { Fields, message } from '../../wire/buffer.ts';
import { type ReplicationCommand, type StandbyStatus, keepalive, parseReceiverMessage, parseReplicationCommand, walDataHeader } from '../../wire/replication.ts';
import { ClientError, ServerConnection, type ServerAuth } from '../../wire/server.ts';
import { timelineSpans } from '../history.ts';
import { type Lsn, formatLsn } from '../lsn.ts';
import { FollowerFiles } from './follower-files.ts';
import type { Slots } from './slots.ts';
import type { WalStore } from './store.ts';

/** What may be changed while followers stream. */
export interface SendSettings {
  keepaliveMs: number;
  /** A follower that has not answered for this long is cut off, like wal_sender_timeout. */
  timeoutMs: number;
  /** The most WAL in one message, bytes: at least a page. */
  packetBytes: number;
}

export interface ServeOptions {
  host: string;
  port: number;
  auth: ServerAuth;
  settings: SendSettings;
  now: () => number;
}

export interface FollowerStatus {
  name: string;
  remote: string;
  timeline: number;
  sent: string;
  write: string;
  flush: string;
  apply: string;
}

/** Slots of this name are pgorbit's own: the primary has them all, a logger makes one when a member comes with it. */
const OWN_SLOT = /^pgorbit_/;

export class WalServer {
  readonly #store: WalStore;
  readonly #slots: Slots;
  readonly #options: ServeOptions;
  readonly #sessions = new Set<Session>();
  readonly #running = new Set<Promise<void>>();
  #server: Server | null = null;

  constructor(store: WalStore, slots: Slots, options: ServeOptions) {
    this.#store = store;
    this.#slots = slots;
    this.#options = options;
  }

  /** Resolves to the port. Throws PgorbitError `port-in-use`. */
  async listen(): Promise<number> {
    const server = createServer((socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new PgorbitError(errnoOf(error) === 'EADDRINUSE' ? 'port-in-use' : 'operation-failed', `cannot listen on ${this.#options.host}:${this.#options.port}: ${error.message}`)));
      server.listen(this.#options.port, this.#options.host, resolve);
    });
    this.#server = server;
    return (server.address() as { port: number }).port;
  }

  /** In force at once for those that stream. The socket of an open connection keeps the idle limit that it came with. */
  configure(settings: SendSettings): void {
    Object.assign(this.#options.settings, settings);
  }

  followers(): FollowerStatus[] {
    return [...this.#sessions].flatMap((session) => session.status() ?? []);
  }

  /** What the followers still have to be sent: not to be purged. */
  holds(): Lsn[] {
    return [...this.#sessions].flatMap((session) => session.sent ?? []);
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => (this.#server ? this.#server.close(resolve) : resolve(null)));
    for (const session of this.#sessions) session.connection.destroy();
    await closed;
    await Promise.all(this.#running);
  }

  #accept(socket: Socket): void {
    // A follower that takes nothing and says nothing, frozen perhaps, must not hold WAL back for ever.
    socket.setTimeout(this.#options.settings.timeoutMs, () => socket.destroy());
    const session = new Session(new ServerConnection(socket), this.#store, this.#slots, this.#options);
    this.#sessions.add(session);
    const run = session.run().finally(() => {
      this.#sessions.delete(session);
      this.#running.delete(run);
    });
    this.#running.add(run);
  }
}

class Session {
  readonly connection: ServerConnection;
  readonly #store: WalStore;
  readonly #slots: Slots;
  readonly #options: ServeOptions;
  readonly #bell = new Bell();
  #name = '';
  #timeline = 0;
  /** Up to where WAL was sent, while streaming. */
  sent: Lsn | null = null;
  #reported: StandbyStatus = { write: 0n, flush: 0n, apply: 0n, replyRequested: false };

  constructor(connection: ServerConnection, store: WalStore, slots: Slots, options: ServeOptions) {
    this.connection = connection;
    this.#store = store;
    this.#slots = slots;
    this.#options = options;
  }

  status(): FollowerStatus | null {
    if (this.sent === null) return null;
    const { write, flush, apply } = this.#reported;
    return { name: this.#name, remote: this.connection.remote, timeline: this.#timeline, sent: formatLsn(this.sent), write: formatLsn(write), flush: formatLsn(flush), apply: formatLsn(apply) };
  }

  /** The whole life of a connection; never throws. */
  async run(): Promise<void> {
    const { connection } = this;
    const stopListening = this.#store.onChange(() => this.#bell.ring());
    connection.onArrival(() => this.#bell.ring());
    try {
      const parameters = await connection.handshake(this.#options.auth);
      if (parameters === null) return;
      this.#name = parameters.get('application_name') ?? '';
      await this.#welcome(parameters);
      for (let next = await connection.next(); next !== null && next.type !== 'X'; next = await connection.next()) {
        if (next.type === 'Q') await this.#query(new Fields(next.payload).cstring());
      }
    } catch (error) {
      await connection.write(toClientError(error).response('FATAL'));
    } finally {
      stopListening();
      this.#slots.release(this);
      connection.end();
    }
  }

  async #welcome(parameters: Map<string, string>): Promise<void> {
    const { systemIdentifier, serverVersion } = this.#store.state.value;
    if (!/^(true|on|yes|1)$/i.test(parameters.get('replication') ?? '')) throw new ClientError('0A000', 'this is a logger: it takes connections for physical replication only');
    if (systemIdentifier === null || this.#store.flushed === null) throw new ClientError('57P03', 'this logger has no WAL yet');
    await this.connection.welcome({ server_version: serverVersion, server_encoding: 'UTF8', client_encoding: 'UTF8', integer_datetimes: 'on', standard_conforming_strings: 'on' });
  }

  async #query(text: string): Promise<void> {
    try {
      await this.#command(parseReplicationCommand(text));
    } catch (error) {
      await this.connection.write(toClientError(error).response('ERROR'));
    }
    await this.connection.write(readyForQuery());
  }

  async #rows(tag: string, columns: [name: string, type: number][], ...rows: (string | Buffer | null)[][]): Promise<void> {
    await this.connection.write(Buffer.concat([rowDescription(columns.map(([name, type]) => ({ name, type }))), ...rows.map(dataRow), commandComplete(tag)]));
  }

  async #command(command: ReplicationCommand): Promise<void> {
    const store = this.#store;
    switch (command.kind) {
      case 'identify-system':
        return await this.#rows('IDENTIFY_SYSTEM', [['systemid', TEXT_OID], ['timeline', INT8_OID], ['xlogpos', TEXT_OID], ['dbname', TEXT_OID]],
          [store.state.value.systemIdentifier, String(store.timeline), formatLsn(store.flushed!), null]);
      case 'show':
        return await this.#rows('SHOW', [[command.name, TEXT_OID]], [this.#setting(command.name)]);
      case 'timeline-history': {
        const text = store.historyText(command.timeline);
        if (text === null) throw new ClientError('58P01', `this logger has no history file of timeline ${command.timeline}`);
        const name = `${command.timeline.toString(16).toUpperCase().padStart(8, '0')}.history`;
        return await this.#rows('TIMELINE_HISTORY', [['filename', TEXT_OID], ['content', TEXT_OID]], [name, text]);
      }
      case 'read-slot': {
        const row = this.#slots.read(command.slot);
        return await this.#rows('READ_REPLICATION_SLOT', [['slot_type', TEXT_OID], ['restart_lsn', TEXT_OID], ['restart_tli', INT8_OID]], row ?? [null, null, null]);
      }
      case 'create-slot':
        this.#slots.create(command.slot, { temporary: command.temporary, reserveWal: command.reserveWal, owner: this });
        return await this.#rows('CREATE_REPLICATION_SLOT', [['slot_name', TEXT_OID], ['consistent_point', TEXT_OID], ['snapshot_name', TEXT_OID], ['output_plugin', TEXT_OID]], [command.slot, '0/0', null, null]);
      case 'drop-slot':
        this.#slots.drop(command.slot);
        return await this.connection.write(commandComplete('DROP_REPLICATION_SLOT'));
      case 'start-physical':
        return await this.#stream(command.lsn, command.timeline ?? store.timeline, command.slot);
      case 'other':
        if (/^[\s;]*$/.test(command.text)) return await this.connection.write(emptyQueryResponse());
        throw new ClientError('0A000', `this logger does not understand: ${command.text.slice(0, 100)}`);
    }
  }

  #setting(name: string): string {
    const { segmentSize, serverVersion } = this.#store.state.value;
    const megabytes = segmentSize >> 20;
    const known: Record<string, string> = {
      wal_segment_size: megabytes >= 1024 ? `${megabytes >> 10}GB` : `${megabytes}MB`,
      data_directory_mode: '0700',
      server_version: serverVersion,
      integer_datetimes: 'on',
    };
    const value = known[name.toLowerCase()];
    if (value === undefined) throw new ClientError('42704', `unrecognized configuration parameter "${name}"`);
    return value;
  }

  async #stream(start: Lsn, timeline: number, slot: string | null): Promise<void> {
    const store = this.#store;
    if (slot !== null) {
      // What members need is held for them by the agent; a slot that outlived the stream would hold WAL for ever.
      if (OWN_SLOT.test(slot) && !this.#slots.has(slot)) this.#slots.create(slot, { temporary: true, reserveWal: false, owner: this });
      this.#slots.acquire(slot, this);
    }
    const ending = this.#endOf(timeline);
    if (ending !== null && start > ending.at) {
      throw new ClientError('XX000', `requested starting point ${formatLsn(start)} on timeline ${timeline} is not in this server's history`, `This server's history forked from timeline ${timeline} at ${formatLsn(ending.at)}.`);
    }
    if (ending === null || start < ending.at) {
      await this.connection.write(copyBothResponse());
      if (start > store.flushed!) throw new ClientError('XX000', `requested starting point ${formatLsn(start)} is ahead of the WAL flush position of this server ${formatLsn(store.flushed!)}`);
      this.#timeline = timeline;
      this.sent = start;
      try {
        if (!(await this.#copy(slot))) return;
      } finally {
        this.sent = null;
      }
    }
    if (slot !== null) this.#slots.release(this, slot);
    const next = this.#endOf(timeline);
    const end = commandComplete('START_STREAMING');
    if (next) await this.connection.write(Buffer.concat([rowDescription([{ name: 'next_tli', type: INT8_OID }, { name: 'next_tli_startpos', type: TEXT_OID }]), dataRow([String(next.timeline), formatLsn(next.at)])]));
    await this.connection.write(Buffer.concat([end, commandComplete('START_REPLICATION')]));
  }

  /** Where `timeline` was left and for which; null while it is the newest. */
  #endOf(timeline: number): { at: Lsn; timeline: number } | null {
    const spans = timelineSpans(this.#store.history);
    const index = spans.findIndex((span) => span.timeline === timeline);
    if (index < 0) throw new ClientError('XX000', `requested timeline ${timeline} is not in this server's history`);
    const { end } = spans[index]!;
    return end === null ? null : { at: end, timeline: spans[index + 1]!.timeline };
  }

  /** Sends until both sides are done (true) or the follower has gone (false). */
  async #copy(slot: string | null): Promise<boolean> {
    const { connection, sent: from } = this;
    const { now } = this.#options;
    const files = new FollowerFiles(this.#store, this.#timeline);
    let heard = now();
    let beat = now();
    let doneSending = false;
    let position = from!;
    try {
      for (;;) {
        const { keepaliveMs, timeoutMs, packetBytes } = this.#options.settings;
        for (let got = connection.poll(); got !== null; got = connection.poll()) {
          heard = now();
          if (got.type === 'X') return false;
          if (got.type === 'c') {
            if (!doneSending) await connection.write(message('c'));
            return true;
          }
          const status = got.type === 'd' ? parseReceiverMessage(got.payload) : null;
          if (status === null) continue;
          this.#reported = status;
          if (slot !== null) this.#slots.advance(slot, status.flush);
          if (status.replyRequested) await connection.write(message('d', keepalive(position, now(), false)));
        }
        if (connection.closed) return false;
        if (now() - heard > timeoutMs) throw new ClientError('57P01', 'terminating replication: the follower has been silent for too long');
        const ending = this.#endOf(this.#timeline);
        const limit = ending?.at ?? this.#store.flushed!;
        if (!doneSending && position < limit) {
          const data = await files.read(position, Math.min(packetBytes, Number(limit - position)), limit);
          await connection.write(message('d', walDataHeader(position, limit, now()), data));
          position += BigInt(data.length);
          this.sent = position;
          beat = now();
          continue;
        }
        if (ending && !doneSending) {
          doneSending = true;
          await connection.write(message('c'));
        }
        if (!doneSending && now() - beat >= keepaliveMs) {
          beat = now();
          await connection.write(message('d', keepalive(position, now(), now() - heard > timeoutMs / 2)));
        }
        await this.#bell.wait(Math.max(1, keepaliveMs - (now() - beat)));
      }
    } finally {
      await files.close();
    }
  }
}

function toClientError(error: unknown): ClientError {
  if (error instanceof ClientError) return error;
  if (error instanceof PgorbitError) return new ClientError('08P01', error.message);
  return new ClientError('XX000', error instanceof Error ? error.message : String(error));
}
