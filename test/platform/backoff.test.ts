import { expect, test } from 'vitest';

import { backoffMs, pause } from '../../src/platform/backoff.ts';

test('a pause ends at once when its signal aborts', async () => {
  const stop = new AbortController();
  const paused = pause(60_000, stop.signal);
  stop.abort();
  await expect(paused).resolves.toBeUndefined();
});

test('a pause under an aborted signal does not wait', async () => {
  await expect(pause(60_000, AbortSignal.abort())).resolves.toBeUndefined();
});

test('the wait doubles with every failure, up to its bound, within its jitter', () => {
  const limits = { firstMs: 100, maxMs: 1_000 };
  for (const [tries, full] of [
    [1, 100],
    [2, 200],
    [4, 800],
    [5, 1_000],
    [5_000, 1_000],
  ] as const) {
    const waitMs = backoffMs(tries, limits);
    expect(waitMs).toBeGreaterThanOrEqual(full / 2);
    expect(waitMs).toBeLessThanOrEqual(full);
  }
});
