import {
  type ConcurrencyRule,
  type RateLimitRule,
  type Schedule,
  mistakeOfStartRules,
} from './start-rules.ts';
import { type JsonValue, type Trigger, type TriggerMatcher, mistakeOfMatchers } from './trigger.ts';

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

export type WaitOptions = Readonly<{
  /** Only a signal with this key ends the wait; without it, any signal of that name does. */
  key?: string;
  /** Milliseconds until the wait ends by itself, with null as its result. Without it: never. */
  timeoutMs?: number;
  request?: RequestForWait;
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
  step: <T>(name: string, run: () => T | Promise<T>) => Promise<T>;
  /**
   * Frees the worker until a signal of that name comes, also one that came since the job was requested. The promise
   * settles in a later run; no `catch` or `finally` runs in this one.
   *
   * One wait at a time: two that are pending together fail the job. Steps that run beside it are finished first, so
   * it cannot cut one off; for that, give the step an `AbortSignal.timeout`.
   */
  waitForEvent: (event: string, options?: WaitOptions) => Promise<SignalView | null>;
  /** Frees the worker for at least so many milliseconds. A wait like `waitForEvent`. */
  sleep: (name: string, delayMs: number) => Promise<void>;
  /** Tells the watchers how far the job is: 0 to 100. Not part of the log; the last one counts. */
  progress: (percent: number, message?: string) => void;
}>;

export type RetryOptions = Readonly<{
  /** How often the job may be tried in all; 1 means no retry. */
  maxAttempts: number;
  firstDelayMs: number;
  maxDelayMs: number;
}>;

export type WorkflowDefinition = Readonly<{
  /** Lower case letters, digits, dots and hyphens. */
  name: string;
  /** The triggers that start it; none: it is only started by hand. */
  on?: readonly TriggerMatcher[];
  concurrency?: ConcurrencyRule;
  rateLimit?: RateLimitRule | null;
  schedules?: readonly Schedule[];
  /** 0 to 9, the highest first. Default 5. */
  priority?: number;
  retry?: Partial<RetryOptions>;
  run: (context: WorkflowContext) => Promise<unknown>;
}>;

export type Workflow = Readonly<
  Required<Pick<WorkflowDefinition, 'name' | 'on' | 'priority' | 'run' | 'schedules'>> & {
    concurrency: ConcurrencyRule | null;
    rateLimit: RateLimitRule | null;
    retry: RetryOptions;
  }
>;

const DEFAULT_RETRY: RetryOptions = { maxAttempts: 5, firstDelayMs: 1000, maxDelayMs: 300_000 };

/**
 * Makes a workflow of a definition: checks it, and fills in the defaults. Throws a TypeError that names what is wrong,
 * so that a mistake is seen when the program starts and not with the first job.
 *
 * `run` is called anew for each attempt and after each wait; what it did in a `step` is not done again. So keep what
 * has effects, and what gives another value each time, inside of steps, and `await` each step and wait.
 */
export function defineWorkflow(definition: WorkflowDefinition): Workflow {
  const { name, on = [], concurrency = null, rateLimit = null, priority = 5, run } = definition;
  const workflow = {
    name,
    on,
    concurrency,
    rateLimit,
    schedules: definition.schedules ?? [],
    priority,
    retry: { ...DEFAULT_RETRY, ...definition.retry },
    run,
  };
  for (const check of CHECKS) {
    const mistake = check(workflow);
    if (mistake !== null) throw new TypeError(`Workflow "${name}": ${mistake}`);
  }
  return workflow;
}

/** What each says is wrong, or null. Definitions may come from plain JavaScript, which no type has looked at. */
const CHECKS: readonly ((workflow: Workflow) => string | null)[] = [
  ({ name }) =>
    typeof name === 'string' && /^[a-z0-9][a-z0-9.-]{0,99}$/.test(name)
      ? null
      : 'a name is 1 to 100 lower case letters, digits, dots and hyphens',
  ({ run }) => (typeof run === 'function' ? null : 'run is a function'),
  ({ on }) => mistakeOfMatchers(on),
  ({ priority }) =>
    isWholeNumber(priority, 0, 9)
      ? null
      : `priority is a whole number from 0 to 9, not ${String(priority)}`,
  ({ retry: { maxAttempts } }) =>
    isWholeNumber(maxAttempts, 1, 1000)
      ? null
      : `retry.maxAttempts is a whole number from 1 to 1000, not ${String(maxAttempts)}`,
  ({ retry: { firstDelayMs, maxDelayMs } }) =>
    firstDelayMs >= 0 && maxDelayMs >= firstDelayMs && maxDelayMs <= MAX_DELAY_MS
      ? null
      : 'retry delays are milliseconds from 0 to a year, and maxDelayMs is not below firstDelayMs',
  mistakeOfStartRules,
];

const MAX_DELAY_MS = 365 * 24 * 3_600_000;

const isWholeNumber = (value: number, min: number, max: number): boolean =>
  Number.isInteger(value) && value >= min && value <= max;
