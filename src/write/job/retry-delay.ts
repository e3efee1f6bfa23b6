import type { RetryPolicy } from '../../events/job.ts';

/** Exponential backoff with full jitter: a random part of `firstDelayMs` doubled per failed attempt, up to `maxDelayMs`. */
export function retryDelayMs(
  { firstDelayMs, maxDelayMs }: RetryPolicy,
  failedAttempt: number,
  jitter: number,
): number {
  // Beyond 2^52 the doubling loses its precision and means nothing to a person.
  const ceiling = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(failedAttempt - 1, 52));
  return Math.round(ceiling * jitter);
}
