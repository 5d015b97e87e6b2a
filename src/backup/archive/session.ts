/** One connection of the archiver, from the handshake to its loss: WAL from where the archive ends, over timelines. */
import { PgorbitError } from '../../errors.ts';
import { parseHistory, switchpointOf, timelineSpans, type TimelineHistory } from '../../wal/history.ts';
import { formatLsn, segmentStart } from '../../wal/lsn.ts';
import { parseError } from '../../wire/backend.ts';
import { ReplicationClient, UpstreamError } from '../../wire/client.ts';
import { copyData, copyDone } from '../../wire/frontend.ts';
import { parseSenderMessage, standbyStatus } from '../../wire/replication.ts';
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
  slot: string;
  /** Opens the archive of this database system. */
  open: (identity: Identity) => Promise<ArchiveWriter>;
  /** From where on WAL is wanted at least, beside what the archive has: the end of the newest backup. */
  wanted: () => Promise<ArchivePosition | null>;
  onStreaming: (timeline: number) => void;
  onFlushed: (writer: ArchiveWriter) => void;
  now: () => number;
  signal: AbortSignal;
}

const CONNECT_MS = 5_000;
/** A server that says nothing for so long is given up. */
const SILENCE_MS = 60_000;
/** The segment that is being written is made durable this often, and the slot moves on. */
const FLUSH_MS = 1_000;

/** SQLSTATEs ("PostgreSQL Error Codes"). */
const DUPLICATE_OBJECT = '42710';
const UNDEFINED_OBJECT = '42704';
const UNDEFINED_FILE = '58P01';

/** Resolves never; throws when the connection is lost, `wal-invalid` when the server no longer has what the archive lacks. */
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
    await makeSlot(client, options.slot);
    const history = await fetchHistory(client, writer, identity.timeline);
    for (let at = await startOf(options, writer, identity, history); ; at = nextTimeline(history, at.timeline, client.where)) {
      writer.begin(at);
      const left = switchpointOf(history, at.timeline);
      // What the archive has of this timeline goes beyond where the server left it: that is not in the server's history.
      if (left !== null && writer.written >= left) continue;
      await stream(options, client, writer);
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

/** Behind what is archived, or at the newest backup's end where that is later: what lies between nobody needs any more. */
async function startOf(options: SessionOptions, writer: ArchiveWriter, identity: Identity, history: TimelineHistory): Promise<ArchivePosition> {
  const size = writer.segmentSize;
  const wanted = await options.wanted();
  const end = writer.end();
  const later = wanted !== null && (end === null || (wanted.timeline >= end.timeline && wanted.lsn > end.lsn)) ? wanted : end;
  const at = later ?? { timeline: identity.timeline, lsn: segmentStart(identity.position, size) };
  if (identity.timeline < at.timeline) {
    throw new PgorbitError('unsafe', `${options.source.member} is on timeline ${identity.timeline}, and the archive already on ${at.timeline}: it is a superseded primary`, { hint: 'it is tried again until the new primary is known' });
  }
  if (at.timeline !== history.timeline && switchpointOf(history, at.timeline) === null) {
    throw new PgorbitError('wal-invalid', `timeline ${at.timeline} of the archive ${writer.dir} is no ancestor of timeline ${history.timeline} of ${options.source.member}`, { hint: 'take a new backup: the archive goes on from there' });
  }
  return { timeline: at.timeline, lsn: segmentStart(at.lsn, size) };
}

/** The timeline that begins where `timeline` was left, from the start of the segment in which that is. */
function nextTimeline(history: TimelineHistory, timeline: number, where: string): ArchivePosition {
  const left = switchpointOf(history, timeline);
  const next = timelineSpans(history).find((span) => span.timeline > timeline && span.begin === left);
  if (left === null || next === undefined) throw new PgorbitError('wal-invalid', `${where} has no timeline behind ${timeline}`);
  return { timeline: next.timeline, lsn: left };
}

/** Streams the writer's timeline until the server ends it; a loss of the connection throws. */
async function stream(options: SessionOptions, client: ReplicationClient, writer: ArchiveWriter): Promise<void> {
  const { now, signal } = options;
  const command = `START_REPLICATION SLOT "${options.slot}" PHYSICAL ${formatLsn(writer.written)} TIMELINE ${writer.timeline}`;
  const answer = await client.command(command).catch((error: unknown) => {
    if (error instanceof UpstreamError && error.state === UNDEFINED_FILE) throw gap(writer, options.source.member, error);
    throw error;
  });
  if (answer.kind !== 'copy-both') return;
  let heard = now();
  let paused = false;
  await new Promise<void>((resolve, reject) => {
    const finish = (error?: unknown): void => {
      clearInterval(timer);
      if (error === undefined) resolve();
      else reject(error instanceof UpstreamError && error.state === UNDEFINED_FILE ? gap(writer, options.source.member, error) : error);
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
      writer.flush();
      client.write(copyData(standbyStatus({ write: writer.flushed, flush: writer.flushed, apply: 0n, replyRequested }, Date.now())));
      options.onFlushed(writer);
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
    }), FLUSH_MS);
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
      if (message.kind === 'wal') {
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
      options.onStreaming(writer.timeline);
    });
  });
  await client.afterStream();
}

function gap(writer: ArchiveWriter, member: string, cause: UpstreamError): PgorbitError {
  return new PgorbitError('wal-invalid', `${member} no longer has the WAL from ${formatLsn(writer.written)} on that the archive ${writer.dir} lacks: ${cause.message}`, {
    hint: 'take a new backup: the archive goes on from there. What was backed up before can be restored to where the archive ends now', cause,
  });
}
