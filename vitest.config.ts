import { defineConfig } from 'vitest/config';

const everywhere = '{src,test,sim,chaos,bench}';
/** What is polled for comes, on a busy machine too; a second, which is the default, is no time there. */
const poll = (timeout: number) => ({ expect: { poll: { timeout } } });
const slow = { ...poll(60_000), testTimeout: 180_000, hookTimeout: 180_000 };

/**
 * unit: no PostgreSQL, no root, milliseconds. pg: real PostgreSQL servers beside the code, on ports of their own, two files
 * at a time (two cores). system: whole clusters, one after the other, as they choose the ports that are free.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [`${everywhere}/**/*.test.ts`],
          exclude: ['**/*.pg.test.ts', '**/node_modules/**'],
          testTimeout: 20_000,
          ...poll(15_000),
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'pg',
          include: ['{src,sim,chaos,bench}/**/*.pg.test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...slow,
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/**/*.pg.test.ts'],
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          ...slow,
        },
      },
    ],
  },
});
