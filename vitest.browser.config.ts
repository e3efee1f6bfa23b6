import { defineConfig, mergeConfig } from 'vitest/config';

import tests from './vitest.config.ts';

/** The web page in a real browser: Debian's `chromium`, or the one that CHROMIUM names. */
export default mergeConfig(
  { ...tests, test: { ...tests.test, include: [] } },
  defineConfig({ test: { include: ['test/browser/*.browser.ts'], testTimeout: 60_000 } }),
);
