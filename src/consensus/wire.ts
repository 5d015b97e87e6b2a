/**
 * What agents send each other for the consensus: one envelope with a version, JSON. wire.test.ts pins the shape of
 * version 1 by its hash: change anything and WIRE_VERSION goes up.
 */
import { z } from 'zod';
import type { Message } from './core/types.ts';

export const WIRE_VERSION = 1;

const count = z.int().nonnegative();
const entry = z.strictObject({ index: count, term: count, kind: z.enum(['data', 'conf', 'empty']), data: z.string() });
const conf = z.strictObject({ voters: z.array(z.string()), learners: z.array(z.string()) });
const snapshot = z.strictObject({ index: count, term: count, conf, data: z.string() });
const header = { from: z.string(), to: z.string(), term: count };

const raftMessage = z.discriminatedUnion('type', [
  z.strictObject({ ...header, type: z.literal('pre-vote'), lastIndex: count, lastTerm: count }),
  z.strictObject({ ...header, type: z.literal('pre-vote-reply'), granted: z.boolean() }),
  z.strictObject({ ...header, type: z.literal('vote'), lastIndex: count, lastTerm: count, force: z.boolean() }),
  z.strictObject({ ...header, type: z.literal('vote-reply'), granted: z.boolean() }),
  z.strictObject({ ...header, type: z.literal('append'), prevIndex: count, prevTerm: count, entries: z.array(entry), commit: count, at: count }),
  z.strictObject({ ...header, type: z.literal('append-reply'), index: count, reject: z.boolean(), hintIndex: count, hintTerm: count, at: count }),
  z.strictObject({ ...header, type: z.literal('heartbeat'), commit: count, at: count, round: count }),
  z.strictObject({ ...header, type: z.literal('heartbeat-reply'), at: count, round: count }),
  z.strictObject({ ...header, type: z.literal('snapshot'), snapshot, at: count }),
  z.strictObject({ ...header, type: z.literal('timeout-now') }),
  z.strictObject({ ...header, type: z.literal('read'), context: z.string() }),
  z.strictObject({ ...header, type: z.literal('read-reply'), context: z.string(), index: count }),
]);

const ask = z.discriminatedUnion('op', [
  /** Propose a CasCommand, as JSON. */
  z.strictObject({ op: z.literal('propose'), data: z.string() }),
  z.strictObject({ op: z.literal('member'), change: z.strictObject({ op: z.enum(['add-learner', 'promote', 'remove']), id: z.string() }) }),
  z.strictObject({ op: z.literal('transfer'), to: z.string() }),
]);

const versioned = z.strictObject({ key: z.string(), revision: count, value: z.unknown() });
const answer = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('cas'), result: z.union([
    z.strictObject({ ok: z.literal(true), revision: count }),
    z.strictObject({ ok: z.literal(false), current: versioned.nullable() }),
  ]) }),
  z.strictObject({ kind: z.literal('done') }),
  /** Not done, and may be tried again: not the leader, no longer the leader, another change under way, … */
  z.strictObject({ kind: z.literal('again'), why: z.string() }),
  /** Never done: it would be unsafe. */
  z.strictObject({ kind: z.literal('refused'), why: z.string() }),
]);

export const envelope = z.discriminatedUnion('kind', [
  z.strictObject({ v: z.literal(WIRE_VERSION), kind: z.literal('raft'), message: raftMessage }),
  z.strictObject({ v: z.literal(WIRE_VERSION), kind: z.literal('ask'), id: z.string(), ask }),
  z.strictObject({ v: z.literal(WIRE_VERSION), kind: z.literal('answer'), id: z.string(), answer }),
]);

export type Envelope = z.infer<typeof envelope>;
export type Ask = z.infer<typeof ask>;
export type Answer = z.infer<typeof answer>;

/** The fields beside those of every message, all counts but for `reject`, of what agents send each other all the time. */
const FREQUENT: Readonly<Record<string, readonly string[]>> = {
  heartbeat: ['commit', 'at', 'round'],
  'heartbeat-reply': ['at', 'round'],
  append: ['prevIndex', 'prevTerm', 'entries', 'commit', 'at'],
  'append-reply': ['index', 'reject', 'hintIndex', 'hintTerm', 'at'],
};
const RAFT_ENVELOPE_FIELDS = 3;
const HEADER_FIELDS = 4;

/** The frequent messages, by hand: the schema takes many times as long. False says nothing: the schema is to be asked. */
function isFrequent(value: Record<string, unknown>): value is Extract<Envelope, { kind: 'raft' }> {
  const message = value['message'] as Record<string, unknown> | null | undefined;
  if (value['kind'] !== 'raft' || typeof message !== 'object' || message === null) return false;
  const fields = typeof message['type'] === 'string' && Object.hasOwn(FREQUENT, message['type']) ? FREQUENT[message['type']] : undefined;
  if (fields === undefined || Object.keys(value).length !== RAFT_ENVELOPE_FIELDS || Object.keys(message).length !== HEADER_FIELDS + fields.length) return false;
  if (typeof message['from'] !== 'string' || typeof message['to'] !== 'string' || !isCount(message['term'])) return false;
  return fields.every((name) => {
    const field = message[name];
    if (name === 'entries') return Array.isArray(field) && field.length === 0;
    return name === 'reject' ? typeof field === 'boolean' : isCount(field);
  });
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

/** The envelope in `value`, or why it is none. */
export function parseEnvelope(value: unknown): { ok: true; envelope: Envelope } | { ok: false; why: string } {
  const version = (value as { v?: unknown } | null)?.v;
  if (version !== WIRE_VERSION) return { ok: false, why: `it has version ${String(version)}, this pgorbit speaks ${WIRE_VERSION}` };
  if (isFrequent(value as Record<string, unknown>)) return { ok: true, envelope: value as Envelope };
  const parsed = envelope.safeParse(value);
  return parsed.success ? { ok: true, envelope: parsed.data } : { ok: false, why: z.prettifyError(parsed.error) };
}

/** The core's messages and the wire's are the same type. */
export const asWire = (message: Message): Envelope => ({ v: WIRE_VERSION, kind: 'raft', message });
export const fromWire = (message: Extract<Envelope, { kind: 'raft' }>['message']): Message => message;
