import { matches, type RetryOptions, type Trigger, type Workflow } from '../sdk/index.ts';
import { createCodeReview, isCodeReview } from './code-review/code-review.ts';
import type { CodeReviewOptions } from './code-review/options.ts';
import { importWorkflows } from './user-module.ts';

/** A job that a trigger is to start. */
export type PlannedJob = Readonly<{
  workflow: string;
  priority: number;
  concurrency: Readonly<{ key: string; strategy: 'supersede' | 'queue' }> | null;
  retry: RetryOptions;
}>;

/** The workflows that this process knows. */
export type WorkflowCatalog = Readonly<{
  workflows: ReadonlyMap<string, Workflow>;
  /** A job for every workflow that the trigger starts, in the order of the workflows' names. */
  plan: (trigger: Trigger) => readonly PlannedJob[];
  /** The job of one workflow, whatever starts it; null when there is no such workflow. */
  planOf: (name: string, trigger: Trigger) => PlannedJob | null;
}>;

export type CatalogOptions = CodeReviewOptions &
  Readonly<{
    /** Told when a workflow's own function cannot say its concurrency key; the job is then planned without one. */
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
  return {
    workflows,
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
  const { name, priority, retry } = workflow;
  return { workflow: name, priority, concurrency: concurrencyOf(workflow, trigger, warn), retry };
}

/** A webhook must not be lost for a user's mistake: a job without a key is better than no job. */
function concurrencyOf(
  { name, concurrency }: Workflow,
  trigger: Trigger,
  warn: (message: string) => void,
): PlannedJob['concurrency'] {
  if (!concurrency) return null;
  try {
    const key: unknown = concurrency.key(trigger);
    if (key === null || key === undefined) return null;
    if (typeof key === 'string' && key !== '' && key.length <= KEY_LENGTH) {
      return { key, strategy: concurrency.strategy };
    }
    warn(
      `Workflow "${name}": concurrency.key must give null or a text of 1 to ${String(KEY_LENGTH)} characters; the job has no key`,
    );
  } catch (error) {
    warn(`Workflow "${name}": concurrency.key threw ${String(error)}; the job has no key`);
  }
  return null;
}
