/** Thrown by a workflow: the job fails at once, whatever attempts are left. */
export class NonRetriable extends Error {
  override readonly name: string = 'NonRetriable';
}

/** Thrown by a workflow: try again after `delayMs`, for example when a host limits the rate. */
export class RetryAfter extends Error {
  override readonly name: string = 'RetryAfter';

  constructor(
    message: string,
    /** Milliseconds from now; a whole number, zero or more. */
    readonly delayMs: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
    if (!Number.isSafeInteger(delayMs) || delayMs < 0) {
      throw new RangeError(`RetryAfter takes whole milliseconds from 0, not ${String(delayMs)}`);
    }
  }
}
