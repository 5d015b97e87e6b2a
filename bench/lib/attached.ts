/** How an attach went, from the event that the member's agent tells. Pure. */
import type { OrbitEvent } from '../../src/observe/event.ts';

/** Seconds. */
export interface AttachTimes {
  total: number;
  checkpoint: number;
  clone: number;
  /** From the whole clone to streaming. */
  start: number;
}

/** The newest `attached` event of a member. Throws where there is none. */
export function attachTimes(events: readonly OrbitEvent[], member: string): AttachTimes {
  const event = events.findLast((one) => one.kind === 'attached' && one.member === member) ?? events.findLast((one) => one.kind === 'attached' && one.message.startsWith(`${member} `));
  const found = /attached in ([\d.]+) s: checkpoint ([\d.]+) s, clone ([\d.]+) s, start and catch-up ([\d.]+) s/.exec(event?.message ?? '');
  if (found === null) throw new Error(`no event says how ${member} was attached${event === undefined ? '' : `: ${event.message}`}`);
  const [total, checkpoint, clone, start] = found.slice(1).map(Number) as [number, number, number, number];
  return { total, checkpoint, clone, start };
}
