import type { Json } from '../../events/event.ts';
import {
  type Concurrency,
  type Failure,
  type JobEvent,
  type RetryPolicy,
  type Wait,
  type WaitOutcome,
  type WorkflowCode,
  deadlineOf,
} from '../../events/job.ts';
import type { Trigger } from '../../events/trigger.ts';
import type { Handlers } from '../decider.ts';
import { stepKey } from './commands.ts';

export type Phase =
  | Readonly<{ status: 'none' }>
  /** A worker may take it. */
  | Readonly<{ status: 'requested' }>
  | Readonly<{ status: 'running'; runId: string; workerId: string }>
  | Readonly<{ status: 'paused'; wait: Wait }>
  /** What it waited for has come, and no worker has taken it yet. */
  | Readonly<{ status: 'resumed'; wait: Wait }>
  | Readonly<{ status: 'retrying'; nextAttemptAt: string }>
  | Readonly<{ status: 'completed' | 'failed' | 'cancelled' | 'superseded' }>;

export type JobState = Readonly<{
  phase: Phase;
  request: JobRequestState;
  /** From 1; it grows with each failed attempt, and a requested retry begins anew. */
  attempt: number;
  /** The last run, also after it ended: a repeated report of it adds nothing. */
  lastRunId: string | null;
  /** The workflow's code in the last run; null before the first, and for one that did not say. */
  code: WorkflowCode | null;
  /** The code of the first run of which results are kept. */
  begunWith: WorkflowCode | null;
  /** What a later run finds done already: by `stepKey` or the wait's id, in the order in which it came about. */
  results: ReadonlyMap<string, Result>;
  /** How often steps with tries of their own have failed. */
  stepTries: ReadonlyMap<string, number>;
  /** Signals that ended a wait of this job; none ends a second one. */
  usedSignals: ReadonlySet<string>;
  /** When it is out of time; null: never. */
  deadline: string | null;
}>;

/** `code`: the workflow's code of the run that it came about in. */
export type Result = Readonly<{ code: WorkflowCode | null }> &
  (
    | Readonly<{ kind: 'step'; output: Json }>
    | Readonly<{ kind: 'failed-step'; error: Failure; tries: number }>
    | Readonly<{ kind: 'wait'; outcome: WaitOutcome }>
  );

type JobRequestState = Readonly<{
  workflow: string;
  priority: number;
  trigger: Trigger | null;
  input: Json;
  concurrency: Concurrency | null;
  retry: RetryPolicy;
  deliveryId: string | null;
  timeoutMs?: number;
}>;

const NO_RESULTS: ReadonlyMap<string, Result> = new Map();

const NO_TRIES: ReadonlyMap<string, number> = new Map();

export const initialState: JobState = {
  phase: { status: 'none' },
  request: {
    workflow: '',
    priority: 5,
    trigger: null,
    input: null,
    concurrency: null,
    retry: { maxAttempts: 1, firstDelayMs: 0, maxDelayMs: 0 },
    deliveryId: null,
  },
  attempt: 1,
  lastRunId: null,
  code: null,
  begunWith: null,
  results: NO_RESULTS,
  stepTries: NO_TRIES,
  usedSignals: new Set(),
  deadline: null,
};

/** How a job's events make its state. */
export const evolve: Handlers<JobEvent, JobState, JobState> = {
  JobRequested: (state, { at, data }) => ({
    ...state,
    phase: { status: 'requested' },
    request: data,
    deadline: deadlineOf(data, at),
  }),
  JobStarted: (state, { data }) => {
    const code = codeOf(data);
    return {
      ...state,
      phase: { status: 'running', runId: data.runId, workerId: data.workerId },
      lastRunId: data.runId,
      attempt: data.attempt,
      code,
      begunWith: state.results.size === 0 ? code : state.begunWith,
    };
  },
  JobStepCompleted: (state, { data: { name, output } }) =>
    withResult(state, stepKey(name), { kind: 'step', output, code: state.code }),
  JobStepFailed: (state, { data: { name, error, tries } }) =>
    withResult(state, stepKey(name), { kind: 'failed-step', error, tries, code: state.code }),
  JobPaused: (state, { data }) => ({ ...state, phase: { status: 'paused', wait: data.wait } }),
  JobResumed: (state, { data: { waitId, outcome } }) => ({
    ...withResult(state, waitId, { kind: 'wait', outcome, code: state.code }),
    phase: state.phase.status === 'paused' ? { ...state.phase, status: 'resumed' } : state.phase,
    usedSignals:
      outcome.kind === 'signal'
        ? new Set(state.usedSignals).add(outcome.signalId)
        : state.usedSignals,
  }),
  JobAttemptFailed: (state, { data: { nextAttemptAt, stepTries } }) =>
    stepTries === undefined
      ? nextAttempt(state, nextAttemptAt)
      : {
          ...state,
          phase: { status: 'retrying', nextAttemptAt },
          stepTries: new Map([...state.stepTries, ...Object.entries(stepTries)]),
        },
  JobInterrupted: (state, { data }) =>
    data.reason === 'released'
      ? { ...state, phase: { status: 'requested' } }
      : nextAttempt(state, data.nextAttemptAt),
  JobCompleted: (state) => ({ ...state, phase: { status: 'completed' } }),
  JobFailed: (state) => ({ ...state, phase: { status: 'failed' } }),
  JobCancelled: (state) => ({ ...state, phase: { status: 'cancelled' } }),
  JobSuperseded: (state) => ({ ...state, phase: { status: 'superseded' } }),
  JobRetryRequested: (state, { at, data }) => ({
    ...state,
    phase: { status: 'requested' },
    results: keptResults(state, data.fromStep),
    stepTries: NO_TRIES,
    attempt: 1,
    deadline: deadlineOf(state.request, at),
  }),
};

const codeOf = ({ version, fingerprint }: Partial<WorkflowCode>): WorkflowCode | null =>
  version === undefined || fingerprint === undefined ? null : { version, fingerprint };

const withResult = (state: JobState, key: string, result: Result): JobState => ({
  ...state,
  results: new Map(state.results).set(key, result),
});

const nextAttempt = (state: JobState, nextAttemptAt: string): JobState => ({
  ...state,
  phase: { status: 'retrying', nextAttemptAt },
  attempt: state.attempt + 1,
});

/**
 * What a retry keeps: all before the named step; without a name everything but the failures of steps, and nothing of
 * a completed job.
 */
function keptResults({ phase, results }: JobState, fromStep: string | null): JobState['results'] {
  const entries = [...results];
  if (fromStep === null) {
    return phase.status === 'completed'
      ? NO_RESULTS
      : new Map(entries.filter(([, { kind }]) => kind !== 'failed-step'));
  }
  return new Map(
    entries.slice(
      0,
      entries.findIndex(([key]) => key === stepKey(fromStep)),
    ),
  );
}
