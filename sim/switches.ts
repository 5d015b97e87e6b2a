/**
 * What may be taken away from the model, one at a time, to see that the simulation notices. All true is the system as
 * it is.
 */
export interface Rules {
  fence: boolean;
  replay: boolean;
  fenceMark: boolean;
  cgroup: boolean;
  markAgain: boolean;
  compareAndSet: boolean;
}

export const ALL_RULES: Rules = {
  /** A take-over kills its predecessor and marks its folder. */
  fence: true,
  /** A take-over replays to the last record on the volume. */
  replay: true,
  /** A start looks at the fence mark. */
  fenceMark: true,
  /** A start enters a cgroup that the fence has removed. */
  cgroup: true,
  /** A start looks at the fence mark once more when the server is up. */
  markAgain: true,
  /** The store compares before it sets. */
  compareAndSet: true,
};
