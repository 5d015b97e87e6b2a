/** What agents say to each other on a stream. Senders hold a certificate of the cluster; what is said must make sense all the same. */
import type { StatusDocument } from '../api.ts';
import type { ReportRequest } from '../reporter.ts';

export type Item =
  /** For the consensus, which checks the message itself (consensus/wire.ts). */
  | { kind: 'raft'; message: object }
  /** A host's reports, for the leading agent. `id` grows; an answer to a later one answers the earlier ones. */
  | { kind: 'report'; id: number; request: ReportRequest }
  /** `known`: the receiver led, with a lease, when it took the report. */
  | { kind: 'report-ack'; id: number; known: boolean }
  /** What `pgorbit status` shows, from the agent that leads: for the views on every node. */
  | { kind: 'status'; document: StatusDocument }
  /** Nothing else had to be said for a while. */
  | { kind: 'alive' };

/**
 * The items in a frame.
 * @param from whom the connection was authenticated as
 * @throws Error that says what is wrong.
 */
export function itemsIn(frame: unknown, from: string): Item[] {
  if (!Array.isArray(frame)) throw new Error('a frame is no list');
  for (const item of frame) checkItem(item, from);
  return frame as Item[];
}

function checkItem(value: unknown, from: string): void {
  if (typeof value !== 'object' || value === null) throw new Error('an item is no object');
  const item = value as Record<string, unknown>;
  switch (item['kind']) {
    case 'raft':
      if (typeof item['message'] !== 'object' || item['message'] === null) throw new Error('a raft item without a message');
      return;
    case 'report':
      if (!isCount(item['id']) || !isRequest(item['request'])) throw new Error('a report of another shape');
      if (item['request'].host !== from) throw new Error(`a report of host ${item['request'].host}`);
      return;
    case 'report-ack':
      if (!isCount(item['id']) || typeof item['known'] !== 'boolean') throw new Error('an answer to a report of another shape');
      return;
    case 'status': {
      const document = item['document'];
      if (typeof document !== 'object' || document === null || !Array.isArray((document as Record<string, unknown>)['groups'])) throw new Error('a status of another shape');
      return;
    }
    case 'alive':
      return;
    default:
      throw new Error(`an item of the unknown kind ${JSON.stringify(item['kind'])}`);
  }
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

function isRequest(value: unknown): value is ReportRequest {
  if (typeof value !== 'object' || value === null) return false;
  const { host, pid, started, number, reports } = value as Record<string, unknown>;
  return typeof host === 'string' && isCount(pid) && isCount(started) && isCount(number) && Array.isArray(reports) && reports.every(isReport);
}

function isReport(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { group, member } = value as Record<string, unknown>;
  return typeof group === 'string' && typeof member === 'string';
}
