import type { WorkflowContext } from './context.ts';
import { type RetryOptions, mistakeOfRetry, mistakeOfTimeout, retryPolicy } from './retry.ts';
import {
  type ConcurrencyRule,
  type RateLimitRule,
  type Schedule,
  mistakeOfStartRules,
} from './start-rules.ts';
import { type TriggerMatcher, mistakeOfMatchers } from './trigger.ts';

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
  timeouts?: Readonly<{
    /** How long one attempt may hold a worker; then it has failed, whatever its code does. Without it: for ever. */
    attemptMs?: number | null;
    /** How long the job may take in all, its waits included; then it has failed for good. Without it: for ever. */
    jobMs?: number | null;
  }>;
  /**
   * Change it with each change of what the code does. A job goes on with the newest code that its worker has; where
   * that no longer asks for what the job has done, the job fails and says so.
   */
  version?: string;
  run: (context: WorkflowContext) => Promise<unknown>;
}>;

export type Workflow = Readonly<
  Required<
    Pick<WorkflowDefinition, 'name' | 'on' | 'priority' | 'run' | 'schedules' | 'version'>
  > & {
    concurrency: ConcurrencyRule | null;
    rateLimit: RateLimitRule | null;
    retry: RetryOptions;
    timeouts: Readonly<{ attemptMs: number | null; jobMs: number | null }>;
  }
>;

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
    retry: retryPolicy(definition.retry),
    timeouts: { attemptMs: null, jobMs: null, ...definition.timeouts },
    version: definition.version ?? '1',
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
  ({ retry }) => mistakeOfRetry(retry),
  ({ timeouts: { attemptMs } }) =>
    attemptMs === null ? null : mistakeOfTimeout('timeouts.attemptMs', attemptMs),
  ({ timeouts: { jobMs } }) =>
    jobMs === null || (Number.isFinite(jobMs) && jobMs > 0 && jobMs <= MAX_JOB_MS)
      ? null
      : `timeouts.jobMs is milliseconds above 0, up to ten years, not ${String(jobMs)}`,
  ({ version }) =>
    typeof version === 'string' && /^[^\0]{1,100}$/u.test(version)
      ? null
      : `version is a text of 1 to 100 characters, not ${version}`,
  mistakeOfStartRules,
];

const MAX_JOB_MS = 10 * 365 * 24 * 3_600_000;

const isWholeNumber = (value: number, min: number, max: number): boolean =>
  Number.isInteger(value) && value >= min && value <= max;
