/** The streaming replication protocol: commands (replication/repl_gram.y) and the messages inside CopyData (docs: protocol-replication). */
import { type Lsn, parseLsn } from '../wal/lsn.ts';
import { malformed } from './buffer.ts';

export type ReplicationCommand =
  | { kind: 'identify-system' }
  | { kind: 'show'; name: string }
  | { kind: 'timeline-history'; timeline: number }
  | { kind: 'start-physical'; slot: string | null; lsn: Lsn; timeline: number | null }
  | { kind: 'read-slot'; slot: string }
  | { kind: 'create-slot'; slot: string; temporary: boolean; reserveWal: boolean }
  | { kind: 'drop-slot'; slot: string; wait: boolean }
  /** Anything else: SQL, logical replication, a base backup. */
  | { kind: 'other'; text: string };

const TOKEN = /\s*(?:"((?:[^"]|"")+)"|'((?:[^']|'')*)'|([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(?![\w/])|([A-Za-z_][\w$.]*)|(\d+)|([(),;]))/y;

type Token = { text: string; quoted: boolean };

function tokenize(sql: string): Token[] | null {
  const tokens: Token[] = [];
  const text = sql.trim();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (!match) return null;
    const [, identifier, literal, lsn, word, number, sign] = match;
    if (identifier !== undefined) tokens.push({ text: identifier.replaceAll('""', '"'), quoted: true });
    else if (literal !== undefined) tokens.push({ text: literal.replaceAll("''", "'"), quoted: true });
    else tokens.push({ text: (lsn ?? word ?? number ?? sign)!, quoted: false });
  }
  while (tokens.at(-1)?.text === ';') tokens.pop();
  return tokens;
}

/** Reads one command. What is no replication command of a physical stream comes back as `other`. */
export function parseReplicationCommand(sql: string): ReplicationCommand {
  const tokens = tokenize(sql);
  const other: ReplicationCommand = { kind: 'other', text: sql };
  if (!tokens?.length) return other;
  let at = 0;
  const keyword = (...words: string[]): boolean => {
    const token = tokens[at];
    if (!token || token.quoted || !words.includes(token.text.toUpperCase())) return false;
    at += 1;
    return true;
  };
  const take = (): string | null => tokens[at++]?.text ?? null;
  const number = (): number | null => {
    const text = take();
    return text !== null && /^\d+$/.test(text) && Number(text) > 0 && Number(text) <= 0xffff_ffff ? Number(text) : null;
  };
  const done = <T extends ReplicationCommand>(command: T): ReplicationCommand => (at === tokens.length ? command : other);
  /** An unquoted name folds to lower case, as in SQL. */
  const name = (): string | null => {
    const token = tokens[at++];
    return token ? (token.quoted ? token.text : token.text.toLowerCase()) : null;
  };

  if (keyword('IDENTIFY_SYSTEM')) return done({ kind: 'identify-system' });
  if (keyword('SHOW')) {
    const shown = name();
    return shown ? done({ kind: 'show', name: shown }) : other;
  }
  if (keyword('TIMELINE_HISTORY')) {
    const timeline = number();
    return timeline ? done({ kind: 'timeline-history', timeline }) : other;
  }
  if (keyword('READ_REPLICATION_SLOT')) {
    const slot = name();
    return slot ? done({ kind: 'read-slot', slot }) : other;
  }
  if (keyword('DROP_REPLICATION_SLOT')) {
    const slot = name();
    const wait = keyword('WAIT');
    return slot ? done({ kind: 'drop-slot', slot, wait }) : other;
  }
  if (keyword('CREATE_REPLICATION_SLOT')) {
    const slot = name();
    const temporary = keyword('TEMPORARY');
    if (!slot || !keyword('PHYSICAL')) return other;
    // The older form is a bare word, the newer a list in parentheses.
    let reserveWal = keyword('RESERVE_WAL');
    if (keyword('(')) {
      if (keyword('RESERVE_WAL')) {
        reserveWal = !keyword('FALSE', 'OFF', '0');
        if (reserveWal) keyword('TRUE', 'ON', '1');
      }
      if (!keyword(')')) return other;
    }
    return done({ kind: 'create-slot', slot, temporary, reserveWal });
  }
  if (keyword('START_REPLICATION')) {
    const slot = keyword('SLOT') ? name() : null;
    keyword('PHYSICAL');
    const text = take();
    if (text === null || !text.includes('/')) return other;
    if (!keyword('TIMELINE')) return done({ kind: 'start-physical', slot, lsn: parseLsn(text), timeline: null });
    // An unreadable number must not pass for "the newest timeline".
    const timeline = number();
    return timeline ? done({ kind: 'start-physical', slot, lsn: parseLsn(text), timeline }) : other;
  }
  return other;
}

/** Microseconds from 1970 to 2000: PostgreSQL's timestamps begin there. */
const EPOCH_MICROSECONDS = 946_684_800_000_000n;
const timestamp = (ms: number): bigint => BigInt(Math.round(ms * 1000)) - EPOCH_MICROSECONDS;

/** The head of a WAL message ('w'); the WAL follows it in the same CopyData. */
export function walDataHeader(start: Lsn, walEnd: Lsn, nowMs: number): Buffer {
  const bytes = Buffer.allocUnsafe(25);
  bytes.write('w', 0, 'latin1');
  bytes.writeBigUInt64BE(start, 1);
  bytes.writeBigUInt64BE(walEnd, 9);
  bytes.writeBigInt64BE(timestamp(nowMs), 17);
  return bytes;
}

export function keepalive(walEnd: Lsn, nowMs: number, replyRequested: boolean): Buffer {
  const bytes = Buffer.allocUnsafe(18);
  bytes.write('k', 0, 'latin1');
  bytes.writeBigUInt64BE(walEnd, 1);
  bytes.writeBigInt64BE(timestamp(nowMs), 9);
  bytes.writeUInt8(replyRequested ? 1 : 0, 17);
  return bytes;
}

export interface StandbyStatus {
  /** 0 where nothing is claimed. */
  write: Lsn;
  flush: Lsn;
  apply: Lsn;
  replyRequested: boolean;
}

/** A CopyData message's type and length. */
const COPY_DATA_HEAD = 5;
const STATUS_BYTES = 34;
/** What lies before the WAL in the CopyData message that carries it. */
export const WAL_MESSAGE_HEAD = COPY_DATA_HEAD + 25;

/** A CopyData message with a status in it, made in one piece of memory that may be used again: a commit waits for it. */
export class StatusMessage {
  readonly #bytes = Buffer.alloc(COPY_DATA_HEAD + STATUS_BYTES);
  readonly #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);

  constructor() {
    this.#view.setUint8(0, 0x64);
    this.#view.setInt32(1, 4 + STATUS_BYTES);
    this.#view.setUint8(5, 0x72);
  }

  /** The whole message, good until the next is made. */
  encode(status: StandbyStatus, nowMs: number): Buffer {
    const view = this.#view;
    view.setBigUint64(6, status.write);
    view.setBigUint64(14, status.flush);
    view.setBigUint64(22, status.apply);
    view.setBigInt64(30, timestamp(nowMs));
    view.setUint8(38, status.replyRequested ? 1 : 0);
    return this.#bytes;
  }
}

/** What a WAL sender sends inside CopyData. `data` is a view of the payload. */
export type SenderMessage =
  | { kind: 'wal'; start: Lsn; walEnd: Lsn; data: Buffer }
  | { kind: 'keepalive'; walEnd: Lsn; replyRequested: boolean };

export function parseSenderMessage(payload: Buffer): SenderMessage {
  const type = payload[0];
  if (type === 0x77 && payload.length >= 25) {
    return { kind: 'wal', start: payload.readBigUInt64BE(1), walEnd: payload.readBigUInt64BE(9), data: payload.subarray(25) };
  }
  if (type === 0x6b && payload.length === 18) return { kind: 'keepalive', walEnd: payload.readBigUInt64BE(1), replyRequested: payload[17] !== 0 };
  throw malformed(`an unknown replication message, type ${type}`);
}

/** What a receiver sends inside CopyData; hot standby feedback and what is newer is of no use here: null. */
export function parseReceiverMessage(payload: Buffer): StandbyStatus | null {
  if (payload[0] !== 0x72) return null;
  if (payload.length !== 34) throw malformed('a standby status of the wrong length');
  return { write: payload.readBigUInt64BE(1), flush: payload.readBigUInt64BE(9), apply: payload.readBigUInt64BE(17), replyRequested: payload[33] !== 0 };
}
