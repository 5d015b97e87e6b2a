/** The environment that PostgreSQL's programs get: nothing of ours that changes what they do. */

/**
 * No PG* variable, no locale or preload of the caller's. The embedded programs find their libraries by $ORIGIN, so
 * none needs LD_LIBRARY_PATH. The server resets the OOM score of its backends (documentation, "Linux Memory
 * Overcommit"): the kernel is to pick one of them, not the postmaster.
 */
export function cleanEnvironment(): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    LC_ALL: 'C',
    ...(process.env['TZ'] === undefined ? {} : { TZ: process.env['TZ'] }),
    PG_OOM_ADJUST_FILE: '/proc/self/oom_score_adj',
    PG_OOM_ADJUST_VALUE: '0',
  };
}
