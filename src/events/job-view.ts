import type { Json, Recorded } from './event.ts';
import type { Approval, AttemptFailure, Failure, JobEvent, StepPlace, Wait } from './job.ts';
import type { Trigger } from './trigger.ts';

export type JobStatus =
  | 'REQUESTED'
  | 'RUNNING'
  | 'PAUSED'
  | 'RETRYING'
  | 'COMPLETED'
  | 'FAILED'
  | 'CANCELLED'
  | 'SUPERSEDED';

/** Plain JSON, so that it can be kept in a row as it is. Times are RFC 3339 in UTC. */
export type StepView = Readonly<{
  name: string;
  status: 'COMPLETED' | 'FAILED';
  attempt: number;
  startedAt: string;
  finishedAt: string;
  /** null of a failed one. */
  output: Json;
  /** Why it failed; null of a completed one. */
  error: string | null;
}>;

/** A job as people see it. What waits between its resumption and the next run is still PAUSED. */
export type JobView = Readonly<{
  id: string;
  workflow: string;
  status: JobStatus;
  trigger: Trigger;
  input: Json;
  concurrencyKey: string | null;
  priority: number;
  /** 0 until a worker has started it. */
  attempt: number;
  maxAttempts: number;
  requestedAt: string;
  /** When the first run began. */
  startedAt: string | null;
  finishedAt: string | null;
  updatedAt: string;
  waitingFor: Readonly<{
    event: string;
    key: string | null;
    until: string | null;
    /** Set when a person is asked. */
    approval: Approval | null;
  }> | null;
  nextAttemptAt: string | null;
  error: (Failure & Readonly<{ attempt: number; at: string; step?: string }>) | null;
  result: Json;
  supersededBy: string | null;
  workerId: string | null;
  correlationId: string;
  deliveryId: string | null;
  version: number;
  /** Decimal, as JSON has no big integers. */
  position: string;
  steps: readonly StepView[];
}>;

type Change = Partial<Omit<JobView, 'id' | 'version' | 'position' | 'updatedAt'>>;

/**
 * Folds one event into the view: the only place that says how a job looks after its events. Projections, live
 * subscriptions and time travel all use it, so they cannot differ. The first event of a job is its request.
 */
export function evolveJobView(view: JobView | null, event: Recorded<JobEvent>): JobView {
  const own = view ? { ...view } : emptyView(event);
  advanceJobView(own, event);
  return own;
}

/** The same on a view that nobody else has, which is changed: many events of one job need one copy. */
export function advanceJobView(own: JobView, event: Recorded<JobEvent>): void {
  // TypeScript cannot see that `CHANGES[event.type]` takes exactly `event`; the type of `CHANGES` guarantees it.
  const change = CHANGES[event.type] as (view: JobView, event: Recorded<JobEvent>) => Change;
  Object.assign(own, change(own, event), {
    updatedAt: event.at.toISOString(),
    version: event.version,
    position: String(event.position),
  });
}

const IDLE = { waitingFor: null, nextAttemptAt: null, workerId: null } as const;

const CHANGES: {
  readonly [T in JobEvent['type']]: (
    view: JobView,
    event: Recorded<Extract<JobEvent, { type: T }>>,
  ) => Change;
} = {
  JobRequested: (_, { data, metadata }) => ({
    workflow: data.workflow,
    trigger: data.trigger,
    input: data.input,
    concurrencyKey: data.concurrency?.key ?? null,
    priority: data.priority,
    maxAttempts: data.retry.maxAttempts,
    deliveryId: data.deliveryId,
    ...(metadata.correlationId === undefined ? {} : { correlationId: metadata.correlationId }),
  }),
  JobStarted: (view, { at, data }) => ({
    ...IDLE,
    status: 'RUNNING',
    workerId: data.workerId,
    attempt: data.attempt,
    startedAt: view.startedAt ?? at.toISOString(),
  }),
  JobStepCompleted: (view, { at, data: { attempt, output, ...place } }) => ({
    steps: [...view.steps, { ...stepView(place, at, attempt), output }],
  }),
  JobStepFailed: (view, { at, data: { attempt, error, ...place } }) => ({
    steps: [...view.steps, failedStep(stepView(place, at, attempt), error)],
  }),
  JobPaused: (_, { data }) => ({ ...IDLE, status: 'PAUSED', waitingFor: waitingFor(data.wait) }),
  JobResumed: () => ({}),
  JobAttemptFailed: (_, { at, data }) => ({
    ...IDLE,
    status: 'RETRYING',
    nextAttemptAt: data.nextAttemptAt,
    error: errorView(data, at),
  }),
  JobInterrupted: (_, { at, data: { attempt, reason, nextAttemptAt } }) => ({
    ...IDLE,
    ...(reason === 'released'
      ? { status: 'REQUESTED' }
      : {
          status: 'RETRYING',
          nextAttemptAt,
          error: { ...WORKER_LOST, attempt, at: at.toISOString() },
        }),
  }),
  JobCompleted: (_, { at, data }) => ({
    ...IDLE,
    status: 'COMPLETED',
    result: data.result,
    finishedAt: at.toISOString(),
  }),
  JobFailed: (view, { at, data }) => ({
    ...IDLE,
    status: 'FAILED',
    finishedAt: at.toISOString(),
    error: errorView(data, at),
    steps: data.step
      ? [...view.steps, failedStep(stepView(data.step, at, data.attempt), data.error)]
      : view.steps,
  }),
  JobCancelled: (_, { at }) => ({
    ...IDLE,
    status: 'CANCELLED',
    finishedAt: at.toISOString(),
  }),
  JobSuperseded: (_, { at, data }) => ({
    ...IDLE,
    status: 'SUPERSEDED',
    supersededBy: data.by,
    finishedAt: at.toISOString(),
  }),
  JobRetryRequested: (view, { data }) => ({
    ...IDLE,
    status: 'REQUESTED',
    attempt: 0,
    finishedAt: null,
    result: null,
    steps: keptSteps(view, data.fromStep),
  }),
};

/** Every type of job event: what has a place in `CHANGES`, so none can be missing. */
export const JOB_EVENT_TYPES: readonly JobEvent['type'][] = Object.keys(
  CHANGES,
) as JobEvent['type'][];

const WORKER_LOST: Failure = {
  name: 'Interrupted',
  message: 'The worker that ran the job fell silent',
  classification: 'interrupted',
};

/** What the API shows of a wait: the first event of several; `sleep` for a timer. */
function waitingFor({ on: [first], until, approval }: Wait): JobView['waitingFor'] {
  const event = first?.event ?? 'sleep';
  return { event, key: first?.key ?? null, until, approval: approval ?? null };
}

const stepView = ({ name, startedAt }: StepPlace, at: Date, attempt: number): StepView => ({
  name,
  status: 'COMPLETED',
  attempt,
  startedAt,
  finishedAt: at.toISOString(),
  output: null,
  error: null,
});

const failedStep = (step: StepView, { message }: Failure): StepView => ({
  ...step,
  status: 'FAILED',
  error: message,
});

const errorView = (
  { error, step, attempt }: AttemptFailure & Readonly<{ attempt: number }>,
  at: Date,
): JobView['error'] => ({
  ...error,
  attempt,
  at: at.toISOString(),
  ...(step === undefined ? {} : { step: step.name }),
});

/**
 * What a retry keeps: all before the named step; without a name everything but the failures of steps, and nothing of
 * a completed job.
 */
function keptSteps({ status, steps }: JobView, fromStep: string | null): readonly StepView[] {
  if (fromStep === null) {
    return status === 'COMPLETED' ? [] : steps.filter((step) => step.status === 'COMPLETED');
  }
  const index = steps.findIndex(({ name }) => name === fromStep);
  return index === -1 ? steps : steps.slice(0, index);
}

function emptyView({ streamId, at, position }: Recorded<JobEvent>): JobView {
  return {
    id: streamId,
    workflow: '',
    status: 'REQUESTED',
    trigger: NO_TRIGGER,
    input: null,
    concurrencyKey: null,
    priority: 5,
    attempt: 0,
    maxAttempts: 1,
    requestedAt: at.toISOString(),
    startedAt: null,
    finishedAt: null,
    updatedAt: at.toISOString(),
    ...IDLE,
    error: null,
    result: null,
    supersededBy: null,
    correlationId: streamId,
    deliveryId: null,
    version: 0,
    position: String(position),
    steps: [],
  };
}

const NO_TRIGGER: Trigger = {
  provider: 'manual',
  source: '',
  deliveryId: '',
  event: 'push',
  action: '',
  repository: null,
  pullRequest: null,
  ref: null,
  headSha: null,
  baseSha: null,
  sender: null,
};
