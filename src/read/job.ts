import type { Classification, StepPlace } from '../events/job.ts';
import type { JobView, StepView } from '../events/job-view.ts';
import type { Trigger } from '../events/trigger.ts';

/** A job in the shape of the API: its fields are the schema's, so that they need no resolvers. */
export type ApiJob = ReturnType<typeof toApiJob>;

// The answer's shape is the schema's; spelling it out a second time would only be able to be wrong.
// oxlint-disable-next-line typescript/explicit-module-boundary-types
export function toApiJob(view: JobView) {
  // What a view has not comes first: fields that are added behind so many cost fifteen times as much.
  return {
    __typename: 'Job' as const,
    /** Whether it shows the job as it was at another time than now. */
    isPast: undefined as boolean | undefined,
    ...view,
    trigger: toApiTrigger(view.trigger),
    error:
      view.error === null
        ? null
        : { ...view.error, classification: toEnum(view.error.classification) },
    /** undefined: they are in their own read model, and are fetched when asked for. */
    steps: undefined as readonly ApiStep[] | undefined,
  };
}

/** The job with its steps, for a view that was folded from the log. */
export const toApiJobWithSteps = (view: JobView): ApiJob => ({
  ...toApiJob(view),
  steps: view.steps,
});

/** A step that has ended, or one that runs now. */
export type ApiStep =
  | StepView
  | Readonly<Omit<StepView, 'status' | 'finishedAt'> & { status: 'RUNNING'; finishedAt: null }>;

/** The steps that have ended, and behind them those that are under way. */
export const withRunning = (
  ended: readonly ApiStep[],
  running: readonly StepPlace[],
  attempt: number,
): readonly ApiStep[] => [
  ...ended,
  ...running
    .filter(({ name }) => !ended.some((step) => step.name === name))
    .map((place) => runningStep(place, attempt)),
];

const runningStep = (place: StepPlace, attempt: number): ApiStep => ({
  ...place,
  status: 'RUNNING',
  attempt,
  finishedAt: null,
  output: null,
  error: null,
});

export const toApiTrigger = (
  trigger: Trigger,
): Omit<Trigger, 'provider'> & Readonly<{ provider: string }> => ({
  ...trigger,
  provider: toEnum(trigger.provider),
});

/** `bitbucket-cloud` and `rate-limited` are BITBUCKET_CLOUD and RATE_LIMITED in the schema. */
export const toEnum = (name: Trigger['provider'] | Classification): string =>
  name.toUpperCase().replaceAll('-', '_');

export const fromEnum = (name: string): string => name.toLowerCase().replaceAll('_', '-');
