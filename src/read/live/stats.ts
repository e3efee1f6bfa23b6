import { pause } from '../../platform/backoff.ts';
import type { LiveLog } from './live-log.ts';

const INTERVAL_MS = 1_000;

/** Measures now, and again a second after something has happened: by then the read models have seen it. */
export async function* followStats<T>(
  { live }: Readonly<{ live: LiveLog }>,
  measure: () => Promise<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const feed = live.open({});
  try {
    while (!signal.aborted) {
      yield await measure();
      await feed.take(signal);
      await pause(INTERVAL_MS, signal);
    }
  } finally {
    feed.close();
  }
}
