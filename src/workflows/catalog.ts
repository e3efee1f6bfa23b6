import { lineOf, matches, type Trigger, type Workflow } from '../sdk/index.ts';
import { createCodeReview, isCodeReview } from './code-review/code-review.ts';
import type { CodeReviewOptions } from './code-review/options.ts';
import type { PlannedJob } from './planned-job.ts';
import { type PlannedSchedule, plannedSchedules } from './schedules.ts';
import { importWorkflows } from './user-module.ts';

/** The workflows that this process knows. */
export type WorkflowCatalog = Readonly<{
  workflows: ReadonlyMap<string, Workflow>;
  /** A job for every workflow that the trigger starts, in the order of the workflows' names. */
  plan: (trigger: Trigger) => readonly PlannedJob[];
  /** The job of one workflow, whatever starts it; null when there is no such workflow. */
  planOf: (name: string, trigger: Trigger) => PlannedJob | null;
  /** What starts by the clock, each with its job. */
  schedules: readonly PlannedSchedule[];
}>;

export type CatalogOptions = CodeReviewOptions &
  Readonly<{
    /** Told when a workflow's own function cannot say a key; the job is then planned without one. */
    warn?: (message: string) => void;
  }>;

const KEY_LENGTH = 500;

/**
 * The built-in workflows, or in their place the ones that the module at `path` exports. Throws an Error that
 * says what is wrong with it, and what to do.
 */
export async function loadWorkflows(
  path: string | null,
  options: CatalogOptions = {},
): Promise<WorkflowCatalog> {
  const builtIn = createCodeReview(options);
  // One that is exported again was made without this process's options.
  const replace = (exported: object): Workflow | null => (isCodeReview(exported) ? builtIn : null);
  const found = path === null ? [builtIn] : await importWorkflows(path, replace);
  const workflows = new Map(found.map((workflow) => [workflow.name, workflow]));
  const warn = options.warn ?? (() => undefined);
  const planOf = (workflow: Workflow, trigger: Trigger) => planned(workflow, trigger, warn);
  return {
    workflows,
    schedules: [...workflows.values()].flatMap((each) => plannedSchedules(each, planOf)),
    plan: (trigger) =>
      [...workflows.values()]
        .filter(({ on }) => matches(on, trigger))
        .map((workflow) => planned(workflow, trigger, warn)),
    planOf(name, trigger) {
      const workflow = workflows.get(name);
      return workflow ? planned(workflow, trigger, warn) : null;
    },
  };
}

function planned(
  workflow: Workflow,
  trigger: Trigger,
  warn: (message: string) => void,
): PlannedJob {
  const { name, priority, retry, concurrency, rateLimit, timeouts } = workflow;
  const keyBy = (path: string, key: (trigger: Trigger) => string | null): string | null =>
    keyOf(key, trigger, (mistake) => {
      warn(`Workflow "${name}": ${path} ${mistake}; the job has no key`);
    });
  const line = concurrency && keyBy('concurrency.key', concurrency.key);
  const rate = rateLimit && keyBy('rateLimit.key', rateLimit.key ?? (() => name));
  return {
    workflow: name,
    priority,
    concurrency: concurrency && line !== null ? lineOf(concurrency, line) : null,
    ...(rateLimit && rate !== null
      ? { rateLimit: { key: rate, limit: rateLimit.limit, perMs: rateLimit.perMs } }
      : {}),
    retry,
    ...(timeouts.jobMs === null ? {} : { timeoutMs: timeouts.jobMs }),
  };
}

/** A webhook must not be lost for a user's mistake: a job without a key is better than no job. */
function keyOf(
  keyBy: (trigger: Trigger) => string | null,
  trigger: Trigger,
  warn: (mistake: string) => void,
): string | null {
  try {
    const key: unknown = keyBy(trigger);
    if (key === null || key === undefined) return null;
    if (typeof key === 'string' && key !== '' && key.length <= KEY_LENGTH) return key;
    warn(`must give null or a text of 1 to ${String(KEY_LENGTH)} characters`);
  } catch (error) {
    warn(`threw ${String(error)}`);
  }
  return null;
}
