/** src/group/member/observe.ts of the model: what a running postgres says of itself. */
import type { Observation } from '../../src/group/member/observe.ts';
import type { ModelPostgres } from './postgres.ts';
import { lsnOf, timelineOf } from './wal.ts';

export function observe(server: ModelPostgres): Observation {
  const { data, receiver } = server;
  const stream = receiver?.stream ?? null;
  const position = server.inRecovery ? server.replayed : data.wal.length;
  return {
    inRecovery: server.inRecovery,
    timeline: timelineOf(data.wal),
    lsn: lsnOf(position),
    // A receiver that has just connected names its segment's start, which may be less than what was replayed; without one the last one's word stands.
    received: server.inRecovery ? lsnOf(Math.max(receiver?.received ?? data.flushed, position)) : null,
    streamingFrom: receiver === null || stream === null ? null : `127.0.0.1:${receiver.port}`,
    heardMs: stream === null ? null : stream.silentFor(),
    lagMs: server.inRecovery ? 0 : null,
    sessions: server.sessions,
    systemIdentifier: data.systemIdentifier,
    synchronousNames: server.inRecovery ? null : server.conf.synchronousNames,
    followers: server.streams.map((one) => ({ name: one.name, replay: lsnOf(one.replayed), flush: one.flushed === null ? null : lsnOf(one.flushed), synchronous: false })),
    retained: {},
    slots: [...data.slots].sort(),
    pendingRestart: [],
  };
}
