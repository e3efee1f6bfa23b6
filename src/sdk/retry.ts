export type RetryOptions = Readonly<{
  /** How often it may be tried in all; 1 means no retry. */
  maxAttempts: number;
  /** The delay after the first failure, in milliseconds. It doubles with each one; a random part of it is waited. */
  firstDelayMs: number;
  maxDelayMs: number;
}>;

const DEFAULT_RETRY: RetryOptions = { maxAttempts: 5, firstDelayMs: 1000, maxDelayMs: 300_000 };

/** The policy with the defaults in the place of what was left out. */
export const retryPolicy = (given: Partial<RetryOptions> = {}): RetryOptions => ({
  ...DEFAULT_RETRY,
  ...given,
});

/** What is wrong with a policy that no type has checked, or null. */
export function mistakeOfRetry({
  maxAttempts,
  firstDelayMs,
  maxDelayMs,
}: RetryOptions): string | null {
  if (!(Number.isInteger(maxAttempts) && maxAttempts >= 1 && maxAttempts <= 1000)) {
    return `retry.maxAttempts is a whole number from 1 to 1000, not ${String(maxAttempts)}`;
  }
  return firstDelayMs >= 0 && maxDelayMs >= firstDelayMs && maxDelayMs <= MAX_DELAY_MS
    ? null
    : 'retry delays are milliseconds from 0 to a year, and maxDelayMs is not below firstDelayMs';
}

const MAX_DELAY_MS = 365 * 24 * 3_600_000;

/** The longest that a timer of Node can wait: 24.8 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What is wrong with the time that something may take while a worker is at it, or null. */
export const mistakeOfTimeout = (what: string, timeoutMs: number): string | null =>
  Number.isFinite(timeoutMs) && timeoutMs > 0 && timeoutMs <= MAX_TIMER_MS
    ? null
    : `${what} is milliseconds above 0, up to 24 days, not ${String(timeoutMs)}`;
