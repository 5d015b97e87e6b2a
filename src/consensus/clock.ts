/** Time as the driver sees it, so that tests and the simulator can bring their own. */
export interface Clock {
  /** Milliseconds of a monotonic clock; the wall clock decides nothing. */
  now(): number;
  /** Calls `work` once, not before `ms` have passed. Returns how to call it off. */
  after(ms: number, work: () => void): () => void;
}

/** CLOCK_MONOTONIC, which goes on while a process is stopped (but not while a machine sleeps). */
export const systemClock: Clock = {
  now: () => Number(process.hrtime.bigint()) / 1e6,
  after: (ms, work) => {
    // setTimeout takes whole ms, and drops what is beyond.
    const timer = setTimeout(work, Math.ceil(ms));
    return () => clearTimeout(timer);
  },
};
