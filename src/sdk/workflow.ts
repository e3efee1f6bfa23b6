import type { JsonValue, Trigger, TriggerMatcher } from './trigger.ts';

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
  /** Aborted when the job is cancelled, superseded or lost to another worker: stop soon. */
  signal: AbortSignal;
  logger: Logger;
  /**
   * Runs `run` once and keeps its result in the log: a later attempt gets the kept result. Names are unique
   * within a workflow. The result must be JSON (undefined becomes null).
   */
  step: <T>(name: string, run: () => T | Promise<T>) => Promise<T>;
  /** Frees the worker until a signal of that name comes, also one that came since the job was requested. */
  waitForEvent: (event: string, options?: WaitOptions) => Promise<SignalView | null>;
  /** Frees the worker for at least so many milliseconds. */
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
  /** Jobs of one key stand in one line; null: this job stands in none. */
  concurrency?: Readonly<{
    key: (trigger: Trigger) => string | null;
    strategy: 'supersede' | 'queue';
  }>;
  /** 0 to 9, the highest first. Default 5. */
  priority?: number;
  retry?: Partial<RetryOptions>;
  run: (context: WorkflowContext) => Promise<unknown>;
}>;

export type Workflow = Readonly<
  Required<Pick<WorkflowDefinition, 'name' | 'on' | 'priority' | 'run'>> & {
    concurrency: WorkflowDefinition['concurrency'] | null;
    retry: RetryOptions;
  }
>;

const DEFAULT_RETRY: RetryOptions = { maxAttempts: 5, firstDelayMs: 1000, maxDelayMs: 300_000 };

/** Checks a definition and fills in the defaults; throws a TypeError that names what is wrong. */
export function defineWorkflow(definition: WorkflowDefinition): Workflow {
  const { name, on = [], concurrency = null, priority = 5, run } = definition;
  const retry = { ...DEFAULT_RETRY, ...definition.retry };
  const mistake = mistakeOf({ name, priority, retry });
  if (mistake !== null) throw new TypeError(`Workflow "${name}": ${mistake}`);
  return { name, on, concurrency, priority, retry, run };
}

function mistakeOf({
  name,
  priority,
  retry: { maxAttempts, firstDelayMs, maxDelayMs },
}: Pick<Workflow, 'name' | 'priority' | 'retry'>): string | null {
  if (!/^[a-z0-9][a-z0-9.-]{0,99}$/.test(name)) {
    return 'a name is 1 to 100 lower case letters, digits, dots and hyphens';
  }
  if (!isWholeNumber(priority, 0, 9)) {
    return `priority is a whole number from 0 to 9, not ${String(priority)}`;
  }
  if (!isWholeNumber(maxAttempts, 1, 1000)) {
    return `retry.maxAttempts is a whole number from 1 to 1000, not ${String(maxAttempts)}`;
  }
  if (!(firstDelayMs >= 0) || !(maxDelayMs >= firstDelayMs)) {
    return 'retry delays are milliseconds from 0, and maxDelayMs is not below firstDelayMs';
  }
  return null;
}

const isWholeNumber = (value: number, min: number, max: number): boolean =>
  Number.isInteger(value) && value >= min && value <= max;
