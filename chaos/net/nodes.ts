/** The network's nodes beside the hosts. */

/** A client that is cut off together with a primary, and one that stays with the others. */
export const NEAR = 'c1';
export const FAR = 'c2';
/** Where the driver and the watcher run; no fault touches it. */
export const OPS = 'ops';
