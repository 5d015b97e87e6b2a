/**
 * `npm test` takes minutes: long suites are played on one version of PostgreSQL, where others play the other, and some only
 * with PGORBIT_TESTS=all, which plays everything on everything and takes some forty.
 */
export const EVERYTHING = process.env['PGORBIT_TESTS'] === 'all';
/** Said where a suite is passed over. */
export const ONLY_WITH_ALL = 'skipped: played with PGORBIT_TESTS=all';

export const onVersion = (version: 15 | 18): number[] => (EVERYTHING ? [18, 15] : [version]);
