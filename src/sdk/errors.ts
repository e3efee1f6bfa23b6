/**
 * Marks by which a worker knows these errors, also a subclass with a name of its own, and also when the workflow's
 * module and the worker have each loaded their own copy of this package.
 */
const PERMANENT = Symbol.for('jobledger.NonRetriable');
const DELAYED = Symbol.for('jobledger.RetryAfter');

/** Thrown by a workflow: the job fails at once, whatever attempts are left. */
export class NonRetriable extends Error {
  override readonly name: string = 'NonRetriable';

  get [PERMANENT](): true {
    return true;
  }
}

/**
 * A step with a retry policy of its own has failed for good: its tries are used up, or it threw a `NonRetriable`. The
 * workflow may catch it and go on; a later run throws it again at the same place. Uncaught, it fails the job.
 */
export class StepFailed extends NonRetriable {
  override readonly name = 'StepFailed';

  constructor(
    readonly step: string,
    /** What the step's function threw the last time. */
    readonly reason: Readonly<{ name: string; message: string; classification: string }>,
    readonly tries: number,
  ) {
    super(
      `Step "${step}" failed for good after ${String(tries)} ${tries === 1 ? 'try' : 'tries'}: ${reason.message}`,
    );
  }
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

  get [DELAYED](): true {
    return true;
  }
}

export const isNonRetriable = (thrown: unknown): thrown is NonRetriable =>
  isMarked(thrown, PERMANENT);

export const isRetryAfter = (thrown: unknown): thrown is RetryAfter =>
  isMarked(thrown, DELAYED) && 'delayMs' in thrown && typeof thrown.delayMs === 'number';

const isMarked = (thrown: unknown, mark: symbol): thrown is object =>
  typeof thrown === 'object' && thrown !== null && mark in thrown;
