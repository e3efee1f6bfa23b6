import { createRequire } from 'node:module';

import { defineConfig } from 'vitest/config';

const { resolve } = createRequire(import.meta.url);

export default defineConfig({
  oxc: { decorator: { legacy: true } },
  resolve: {
    // Nest requires `graphql` and the tests import it: without one address there are two copies of its classes.
    alias: [{ find: /^graphql$/, replacement: resolve('graphql') }],
  },
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
});
