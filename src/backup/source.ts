/** What a server says of itself over the replication protocol. */
import { PgorbitError } from '../errors.ts';
import { isSegmentSize, parseLsn, type Lsn } from '../wal/lsn.ts';
import type { ReplicationClient } from '../wire/client.ts';

export interface Identity {
  /** Decimal. */
  systemIdentifier: string;
  timeline: number;
  /** What it has flushed. */
  position: Lsn;
  segmentSize: number;
  /** `15.14`, `18.4`. */
  version: string;
  major: number;
}

/** IDENTIFY_SYSTEM and SHOW (documentation, "Streaming Replication Protocol"). Throws `operation-failed`. */
export async function identifySource(client: ReplicationClient): Promise<Identity> {
  const [systemIdentifier, timeline, position] = await oneRow(client, 'IDENTIFY_SYSTEM');
  const [size] = await oneRow(client, 'SHOW wal_segment_size');
  const version = (client.parameters.get('server_version') ?? '').split(' ')[0]!;
  const major = Number.parseInt(version, 10);
  if (!systemIdentifier || !position || !Number.isInteger(Number(timeline)) || !Number.isInteger(major)) {
    throw new PgorbitError('operation-failed', `${client.where} gave no answer to IDENTIFY_SYSTEM`, { hint: 'is this a PostgreSQL server of version 15 to 18?' });
  }
  return { systemIdentifier, timeline: Number(timeline), position: parseLsn(position), segmentSize: parseSize(size ?? '', client.where), version, major };
}

export async function oneRow(client: ReplicationClient, command: string): Promise<(string | null)[]> {
  const answer = await client.command(command);
  return answer.kind === 'rows' ? (answer.rows[0] ?? []) : [];
}

/** `16MB`, `1GB`: how SHOW prints wal_segment_size. */
function parseSize(text: string, where: string): number {
  const match = /^(\d+)(MB|GB)$/.exec(text);
  const size = match ? Number(match[1]) * (match[2] === 'GB' ? 1 << 30 : 1 << 20) : 0;
  if (!isSegmentSize(size)) throw new PgorbitError('operation-failed', `${where} gave no usable wal_segment_size: "${text}"`);
  return size;
}
