import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves after `ms`, or at once when `signal` aborts. Never rejects, and leaves no listener behind. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {
    // The only failure of a timer is its abort, which ends the pause and nothing else.
  });
}

/**
 * How long to wait after the `tries`-th failure in a row (from 1): doubles from `firstMs` up to `maxMs`, of which
 * a random half is taken off, so that processes that failed together do not come back together.
 */
export function backoffMs(
  tries: number,
  { firstMs = 100, maxMs = 5_000 }: Readonly<{ firstMs?: number; maxMs?: number }> = {},
): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(tries - 1, 30));
  return Math.round(full * (0.5 + Math.random() / 2));
}
