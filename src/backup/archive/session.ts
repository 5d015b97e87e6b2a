/** One connection of the archiver, from the handshake to its loss: WAL from where the archive ends, over timelines. */
import { PgorbitError } from '../../errors.ts';
import { parseHistory, switchpointOf, timelineSpans, type TimelineHistory } from '../../wal/history.ts';
import { formatLsn, type Lsn, segmentStart } from '../../wal/lsn.ts';
import { parseError } from '../../wire/backend.ts';
import { type Answer, ReplicationClient, UpstreamError, isMissingFile } from '../../wire/client.ts';
import { copyDone } from '../../wire/frontend.ts';
import { parseSenderMessage, StatusMessage } from '../../wire/replication.ts';
import { identifySource, oneRow, type Identity } from '../source.ts';
import type { ArchivePosition, ArchiveWriter } from './writer.ts';

export interface ArchiveSource {
  member: string;
  host: string;
  port: number;
  user: string;
  password: string;
}

export interface SessionOptions {
  source: ArchiveSource;
  /** Without `make` somebody else makes it and drops it. */
  slot: { name: string; make: boolean } | null;
  /** Opens the archive of this database system. */
  open: (identity: Identity) => Promise<ArchiveWriter>;
  /** Where the newest backup ends. */
  wanted: () => Promise<ArchivePosition | null>;
  /**
   * `archive`: where that ends, whatever was backed up since; in an empty one as `backup`. `backup`: at the newest backup's
   * end where that is later. `now`: where the server is. Default `backup`.
   */
  start?: 'archive' | 'backup' | 'now';
  /** WAL of a timeline comes, from `from` on, or the server has no more of it than the archive has. */
  onStreaming: (from: ArchivePosition) => void;
  /** `sourceEnd`: what the server has flushed, as far as it is known. */
  onFlushed: (writer: ArchiveWriter, sourceEnd: Lsn) => void;
  /** Throws when nothing may be written any more. */
  check?: () => void;
  /** What has arrived is made durable this often, ms. Default FLUSH_MS. */
  flushMs?: number;
  now: () => number;
  signal: AbortSignal;
}

const CONNECT_MS = 5_000;
/** A server that says nothing for so long is given up. */
const SILENCE_MS = 60_000;
/** The segment that is being written is made durable this often, and the slot moves on. */
const FLUSH_MS = 1_000;

/** `wal-invalid`: the server no longer has what the archive lacks. */
export class WalGone extends PgorbitError {
  readonly due: ArchivePosition;

  constructor(due: ArchivePosition, message: string, options: { hint: string; cause: unknown }) {
    super('wal-invalid', message, options);
    this.due = due;
  }
}

/** SQLSTATEs ("PostgreSQL Error Codes"). */
const DUPLICATE_OBJECT = '42710';
const UNDEFINED_OBJECT = '42704';
const OBJECT_IN_USE = '55006';

/** Resolves never; throws when the connection is lost, WalGone (`wal-invalid`) when the server no longer has what the archive lacks. */
export async function archiveSession(options: SessionOptions): Promise<never> {
  const { source, signal } = options;
  signal.throwIfAborted();
  const client = await ReplicationClient.connect({ ...source, applicationName: 'pgorbit archive', timeoutMs: CONNECT_MS }, signal);
  const cut = (): void => client.destroy();
  signal.addEventListener('abort', cut, { once: true });
  let writer: ArchiveWriter | null = null;
  try {
    signal.throwIfAborted();
    const identity = await identifySource(client);
    writer = await options.open(identity);
    if (options.slot?.make === true) await makeSlot(client, options.slot.name);
    const history = await fetchHistory(client, writer, identity.timeline);
    for (let at = await startOf(options, writer, identity, history); ; at = nextTimeline(history, at.timeline, client.where)) {
      writer.begin(at);
      const left = switchpointOf(history, at.timeline);
      // What the archive has of this timeline goes beyond where the server left it: that is not in the server's history.
      if (left !== null && writer.written >= left) continue;
      await stream(options, client, writer, identity.position);
      if (left === null) throw new PgorbitError('host-unreachable', `${client.where} ended its timeline ${at.timeline}`);
    }
  } finally {
    signal.removeEventListener('abort', cut);
    client.destroy();
    writer?.close();
  }
}

/** Drops the slot where nobody streams from any more: it would keep WAL there for ever. */
export async function dropSlot(source: ArchiveSource, slot: string, signal: AbortSignal): Promise<boolean> {
  const client = await ReplicationClient.connect({ ...source, applicationName: 'pgorbit archive', timeoutMs: CONNECT_MS }, signal);
  try {
    await client.command(`DROP_REPLICATION_SLOT "${slot}"`);
    return true;
  } catch (error) {
    if (error instanceof UpstreamError && error.state === UNDEFINED_OBJECT) return false;
    throw error;
  } finally {
    client.destroy();
  }
}

async function makeSlot(client: ReplicationClient, slot: string): Promise<void> {
  try {
    await client.command(`CREATE_REPLICATION_SLOT "${slot}" PHYSICAL ( RESERVE_WAL )`);
  } catch (error) {
    if (!(error instanceof UpstreamError) || error.state !== DUPLICATE_OBJECT) throw error;
  }
}

/** The history of the server's timeline; it and those of its parents are archived. */
async function fetchHistory(client: ReplicationClient, writer: ArchiveWriter, timeline: number): Promise<TimelineHistory> {
  if (timeline === 1) return { timeline, parents: [] };
  const fetch = async (one: number): Promise<TimelineHistory> => {
    const [, text] = await oneRow(client, `TIMELINE_HISTORY ${one}`);
    writer.saveHistory(one, text ?? '');
    return parseHistory(one, text ?? '');
  };
  const history = await fetch(timeline);
  for (const { timeline: parent } of history.parents) if (parent > 1) await fetch(parent);
  return history;
}

/** Behind what is archived, or at the newest backup's end where that is later, or where the server is. */
async function startOf(options: SessionOptions, writer: ArchiveWriter, identity: Identity, history: TimelineHistory): Promise<ArchivePosition> {
  const size = writer.segmentSize;
  const newest = writer.end();
  const now = { timeline: identity.timeline, lsn: segmentStart(identity.position, size) };
  const at = (await wantedStart(options, writer.end(history))) ?? now;
  if (identity.timeline < Math.max(at.timeline, newest?.timeline ?? 0)) {
    throw new PgorbitError('unsafe', `${options.source.member} is on timeline ${identity.timeline}, and the archive already on ${Math.max(at.timeline, newest?.timeline ?? 0)}: it is a superseded primary`, { hint: 'it is tried again until the new primary is known' });
  }
  if (at.timeline !== history.timeline && switchpointOf(history, at.timeline) === null) {
    throw new PgorbitError('wal-invalid', `timeline ${at.timeline} of the archive ${writer.dir} is no ancestor of timeline ${history.timeline} of ${options.source.member}`, { hint: 'take a new backup: the archive goes on from there' });
  }
  return { timeline: at.timeline, lsn: segmentStart(at.lsn, size) };
}

/** Null: where the server is. */
async function wantedStart({ start = 'backup', wanted }: SessionOptions, end: ArchivePosition | null): Promise<ArchivePosition | null> {
  if (start === 'now') return null;
  if (start === 'archive' && end !== null) return end;
  const backup = await wanted();
  return backup !== null && (end === null || (backup.timeline >= end.timeline && backup.lsn > end.lsn)) ? backup : end;
}

/** The timeline that begins where `timeline` was left, from the start of the segment in which that is. */
function nextTimeline(history: TimelineHistory, timeline: number, where: string): ArchivePosition {
  const left = switchpointOf(history, timeline);
  const next = timelineSpans(history).find((span) => span.timeline > timeline && span.begin === left);
  if (left === null || next === undefined) throw new PgorbitError('wal-invalid', `${where} has no timeline behind ${timeline}`);
  return { timeline: next.timeline, lsn: left };
}

/** Streams the writer's timeline until the server ends it; a loss of the connection throws. */
async function stream(options: SessionOptions, client: ReplicationClient, writer: ArchiveWriter, position: Lsn): Promise<void> {
  const { now, signal } = options;
  let sourceEnd = position;
  const from = { timeline: writer.timeline, lsn: writer.written };
  // That a segment is gone is said after the start of the stream, in the place of its first WAL.
  let told = false;
  const streams = (): void => {
    if (told) return;
    told = true;
    options.onStreaming(from);
  };
  const answer = await startReplication(options, client, writer).catch((error: unknown) => {
    if (isMissingFile(error)) throw gap(writer, options.source.member, error);
    throw error;
  });
  if (answer.kind !== 'copy-both') return;
  let heard = now();
  let paused = false;
  await new Promise<void>((resolve, reject) => {
    const finish = (error?: unknown): void => {
      clearInterval(timer);
      if (error === undefined) resolve();
      else reject(isMissingFile(error) ? gap(writer, options.source.member, error) : error);
    };
    const guarded = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        client.destroy();
        finish(error);
      }
    };
    const reply = (replyRequested: boolean): void => {
      options.check?.();
      writer.flush();
      client.write(new StatusMessage().encode({ write: writer.flushed, flush: writer.flushed, apply: 0n, replyRequested }, Date.now()));
      options.onFlushed(writer, sourceEnd);
    };
    const timer = setInterval(() => guarded(() => {
      if (paused) heard = now();
      if (paused && !writer.full) {
        paused = false;
        client.resume();
      }
      const silent = now() - heard;
      if (silent > SILENCE_MS) throw new PgorbitError('host-unreachable', `${client.where} has been silent for ${Math.round(silent)} ms`);
      reply(silent > SILENCE_MS / 2);
    }), options.flushMs ?? FLUSH_MS);
    client.stream(({ type, payload }) => guarded(() => {
      heard = now();
      if (signal.aborted) return;
      if (type === 'c') {
        writer.flush();
        client.endStream();
        client.write(copyDone());
        return finish();
      }
      if (type === 'E') throw new UpstreamError(client.where, parseError(payload));
      if (type !== 'd') throw new PgorbitError('host-unreachable', `${client.where} stopped streaming`);
      const message = parseSenderMessage(payload);
      if (message.walEnd > sourceEnd) sourceEnd = message.walEnd;
      if (message.kind === 'wal') {
        streams();
        writer.write(message.start, message.data);
        if (writer.full && !paused) client.pause();
        paused ||= writer.full;
      }
      // A server that shuts down waits until all is durable here.
      else if (message.replyRequested) {
        writer.hurry();
        reply(false);
      }
    }), finish);
    guarded(() => {
      reply(false);
      if (writer.written >= position) streams();
    });
  });
  await client.afterStream();
}

/**
 * A slot that somebody else looks after need not be there yet, and may be held for a while by a walsender whose archiver
 * is gone: it keeps the WAL either way.
 */
async function startReplication({ slot }: SessionOptions, client: ReplicationClient, writer: ArchiveWriter): Promise<Answer> {
  const start = (by: string): Promise<Answer> => client.command(`START_REPLICATION ${by}PHYSICAL ${formatLsn(writer.written)} TIMELINE ${writer.timeline}`);
  if (slot === null) return start('');
  try {
    return await start(`SLOT "${slot.name}" `);
  } catch (error) {
    if (slot.make || !(error instanceof UpstreamError) || (error.state !== UNDEFINED_OBJECT && error.state !== OBJECT_IN_USE)) throw error;
    return start('');
  }
}

function gap(writer: ArchiveWriter, member: string, cause: UpstreamError): WalGone {
  return new WalGone({ timeline: writer.timeline, lsn: writer.written }, `${member} no longer has the WAL from ${formatLsn(writer.written)} on that the archive ${writer.dir} lacks: ${cause.message}`, {
    hint: 'take a new backup: the archive goes on from there. What was backed up before can be restored to where the archive ends now', cause,
  });
}
