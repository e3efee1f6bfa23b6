import type { RetryPolicy } from '../events/job.ts';
import { NonRetriable } from '../sdk/errors.ts';
import type { StepCall, StepOptions } from '../sdk/context.ts';
import { mistakeOfRetry, mistakeOfTimeout, retryPolicy } from '../sdk/retry.ts';
import { linked } from './abort.ts';

/** Calls back after so long, unless it is taken back. */
export type Timer = (ms: number, over: () => void) => () => void;

export const realTimer: Timer = (ms, over) => {
  const timer = setTimeout(over, ms);
  return () => {
    clearTimeout(timer);
  };
};

/** How a step is run. `retry`: its own tries; null: a failure is the attempt's. */
export type StepPolicy = Readonly<{ retry: RetryPolicy | null; timeoutMs: number | null }>;

export function stepPolicy(name: string, { retry, timeoutMs }: StepOptions): StepPolicy {
  const policy = {
    retry: retry === undefined ? null : retryPolicy(retry),
    timeoutMs: timeoutMs ?? null,
  };
  const mistake =
    (policy.retry && mistakeOfRetry(policy.retry)) ??
    (policy.timeoutMs === null ? null : mistakeOfTimeout('timeoutMs', policy.timeoutMs));
  if (mistake !== null) throw new NonRetriable(`ctx.step("${name}"): ${mistake}`);
  return policy;
}

export const outOfTime = (what: string, timeoutMs: number): DOMException =>
  new DOMException(`${what} took longer than its ${String(timeoutMs)} ms`, 'TimeoutError');

export type Limit = Readonly<{
  name: string;
  timeoutMs: number | null;
  /** Of the run. */
  signal: AbortSignal;
  timer: Timer;
  /** Gets the work that goes on although its time is over. */
  onLeft: (work: Promise<unknown>) => void;
}>;

/** What the work gives, or a TimeoutError as soon as its time is over; its signal aborts then too. */
export function limited<T>(
  work: (call: StepCall) => Promise<T>,
  { name, timeoutMs, signal, timer, onLeft }: Limit,
): Promise<T> {
  if (timeoutMs === null) return work({ signal });
  const own = linked(signal);
  const working = work({ signal: own.signal });
  return new Promise<T>((resolve, reject) => {
    const stop = timer(timeoutMs, () => {
      const error = outOfTime(`Step "${name}"`, timeoutMs);
      onLeft(working);
      reject(error);
      own.abort(error);
    });
    working
      .finally(() => {
        stop();
        own.unlink();
      })
      .then(resolve, reject);
  });
}
