/** The promotion itself: asked for, and waited for. */
import { sleep, type SimSignal, type Work } from '../kernel/process.ts';
import { StepError } from '../kernel/violation.ts';
import type { ModelMember } from './member.ts';

const PROMOTE_MS = 20_000;

export function* promoteServer(member: ModelMember, signal: SimSignal): Work {
  const { clock } = member.world;
  yield* member.pause();
  const server = member.sql();
  if (server.inRecovery) server.promote();
  const started = clock.now;
  for (;;) {
    yield* member.pause();
    if (!member.sql().inRecovery) return;
    if (clock.now - started > PROMOTE_MS) throw new StepError('timed-out', `${member.name} still is in recovery`);
    if (signal.aborted) throw new StepError('aborted', 'the promotion was broken off');
    yield* sleep(10, signal);
  }
}
