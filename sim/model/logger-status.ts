/** What a logger answers when it is asked for its status. */
import type { LoggerStatus } from '../../src/wal/logger/logger.ts';
import type { ModelLogger } from './logger.ts';
import { lsnOf, SEGMENT } from './wal.ts';

export function statusOf(server: ModelLogger): LoggerStatus {
  const { data, upstream, receiver, state, world } = server;
  const timeline = data.wal[data.flushed - 1]?.timeline ?? 0;
  const stream = receiver?.stream ?? null;
  const full = world.disksFull.has(server.member);
  return {
    term: state.promised, walTerm: state.walTerm, timeline, flushed: data.wal.length === 0 ? null : lsnOf(data.flushed),
    pid: server.pid, port: server.port, systemIdentifier: data.wal.length === 0 ? null : data.systemIdentifier, serverVersion: '18', segmentSize: SEGMENT,
    oldest: lsnOf(data.oldest), bytes: 0, rss: 0,
    upstream: upstream === null ? null : {
      host: '127.0.0.1', port: upstream.port, term: upstream.term, applicationName: upstream.name, slot: upstream.slot,
      state: full ? 'disk-full' : stream === null ? 'connecting' : 'streaming', heardMs: stream?.silentFor() ?? null, error: null,
    },
    followers: server.streams.map((one) => ({
      name: one.name, remote: '', timeline, sent: lsnOf(data.flushed), write: lsnOf(one.flushed ?? 0), flush: lsnOf(one.flushed ?? 0), apply: lsnOf(one.replayed),
    })),
  };
}
