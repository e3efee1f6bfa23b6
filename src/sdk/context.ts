import type { RetryOptions } from './retry.ts';
import type { JsonValue, Trigger } from './trigger.ts';

export type JobView = Readonly<{
  id: string;
  workflow: string;
  trigger: Trigger;
  /** What was given with a manual request; null for a webhook. */
  input: JsonValue;
  /** From 1; a pause or a deploy does not use one up. */
  attempt: number;
  maxAttempts: number;
  correlationId: string;
  /**
   * The `version` of the workflow with which the first of the kept results was made. Branch on it where a newer version
   * must go on with what an older one began.
   */
  version: string;
}>;

export type SignalView = Readonly<{
  /** null when the wait was ended by hand. */
  event: string | null;
  key: string | null;
  payload: JsonValue;
}>;

/** Where a workflow writes about itself; each line carries the job's id. */
export type Logger = Readonly<
  Record<'debug' | 'info' | 'warn' | 'error', (message: string, fields?: object) => void>
>;

/** Work for another program, published under `request.<topic>` from the pause until the wait ends. */
export type RequestForWait = Readonly<{ topic: string; body: JsonValue }>;

/** Which signals of a name end a wait. */
export type SignalFilter = Readonly<{
  /** Only a signal with this key; without it, with any key or none. */
  key?: string;
  /** Only a signal whose payload has these values, by path: `{ 'check.sha': 'abc', 'commits.0.draft': false }`. */
  match?: Readonly<Record<string, null | boolean | number | string>>;
}>;

export type WaitTimeout = Readonly<{
  /** Milliseconds until the wait ends by itself, with null as its result. Without it: never. */
  timeoutMs?: number;
}>;

export type WaitOptions = SignalFilter & WaitTimeout & Readonly<{ request?: RequestForWait }>;

/** Which of the awaited came, by its place in the list; null when the wait was ended by hand. */
export type AnySignalView = SignalView & Readonly<{ index: number | null }>;

export type ApprovalOptions = WaitTimeout &
  Readonly<{
    /** The names of the API keys whose answer counts. Without it: of every operator. */
    approvers?: readonly string[];
  }>;

export type ApprovalView = Readonly<{
  approved: boolean;
  /** Who answered, as far as that is known. */
  by: string | null;
  comment: string | null;
}>;

export type StepOptions = Readonly<{
  /**
   * Tries of the step's own: a failure uses none of the job's attempts up, and frees the worker until the next try. When
   * the last one fails, the step's promise rejects with a `StepFailed`, in this run and in every later one.
   */
  retry?: Partial<RetryOptions>;
  /** Milliseconds that its function may take; after them it has failed, whatever the function does. */
  timeoutMs?: number;
}>;

export type StepCall = Readonly<{
  /** Aborted with `ctx.signal`, and when the step's time is over. */
  signal: AbortSignal;
}>;

export type WorkflowContext = Readonly<{
  job: JobView;
  /**
   * Aborted when the job is cancelled, superseded or lost to another worker, and when the run is over: stop soon.
   * Give it to what takes long, such as `fetch(url, { signal })`.
   */
  signal: AbortSignal;
  logger: Logger;
  /**
   * Runs `run` and keeps its result in the log: a later run of the job gets the kept result instead. The result is
   * what JSON keeps of it (undefined becomes null, a Date its text), at most 1 MiB. Names are unique within a
   * workflow.
   *
   * A step whose worker dies before the result is kept runs again, so what it does should bear repetition. Steps may
   * run in parallel (`Promise.all`); of several, those that succeed are kept though another one fails. Neither steps
   * nor waits stand inside of a step.
   */
  step: <T>(
    name: string,
    run: (call: StepCall) => T | Promise<T>,
    options?: StepOptions,
  ) => Promise<T>;
  /**
   * Frees the worker until a signal of that name comes, also one that came since the job was requested. The promise
   * settles in a later run; no `catch` or `finally` runs in this one.
   *
   * One wait at a time: two that are pending together fail the job. Steps that run beside it are finished first, so
   * it cannot cut one off; for that, give the step a `timeoutMs`.
   */
  waitForEvent: (event: string, options?: WaitOptions) => Promise<SignalView | null>;
  /** Waits for the first of several; `index` says which it was. A wait like `waitForEvent`. */
  waitForAny: (
    events: readonly (SignalFilter & Readonly<{ event: string }>)[],
    options?: WaitTimeout & Readonly<{ request?: RequestForWait }>,
  ) => Promise<AnySignalView | null>;
  /** Frees the worker for at least so many milliseconds. A wait like `waitForEvent`. */
  sleep: (name: string, delayMs: number) => Promise<void>;
  /** Frees the worker until then; a text is RFC 3339. A wait like `waitForEvent`. */
  sleepUntil: (name: string, time: Date | string) => Promise<void>;
  /**
   * Frees the worker until a person has answered, with `jobs approve` or `jobs reject`, or over the API. null: nobody
   * did in time. A wait like `waitForEvent`, for the event `approval.<name>` with the job's id as its key.
   */
  approval: (name: string, options?: ApprovalOptions) => Promise<ApprovalView | null>;
  /** Tells the watchers how far the job is: 0 to 100. Not part of the log; the last one counts. */
  progress: (percent: number, message?: string) => void;
}>;
