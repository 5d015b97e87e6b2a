import { defineConfig } from 'vitest/config';

// unit: no PostgreSQL, no root, milliseconds. pg: real PostgreSQL servers, one file at a time (two cores).
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{src,test,sim,chaos,bench}/**/*.test.ts'],
          exclude: ['**/*.pg.test.ts', '**/node_modules/**'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'pg',
          include: ['{src,test,sim,chaos,bench}/**/*.pg.test.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
