/**
 * The PostgreSQL versions that a long suite is played on: one, where others play the other, so that all of them together
 * take minutes; both with PGORBIT_TESTS=all.
 */
export const onVersion = (version: 15 | 18): number[] => (process.env['PGORBIT_TESTS'] === 'all' ? [18, 15] : [version]);
