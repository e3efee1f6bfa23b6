import { setTimeout as sleep } from 'node:timers/promises';

/** Polls until `check` passes; for what can only be seen from outside. Throws its last failure when time is up. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { timeoutMs = 10_000, everyMs = 20 }: Readonly<{ timeoutMs?: number; everyMs?: number }> = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(everyMs);
    }
  }
}
