import type { Json } from '../../events/event.ts';
import type {
  Concurrency,
  Failure,
  JobEvent,
  RetryPolicy,
  Wait,
  WaitOutcome,
} from '../../events/job.ts';
import type { Trigger } from '../../events/trigger.ts';
import { decider } from '../decider.ts';
import { Rejected } from '../rejected.ts';
import { type JobCommand, type JobRejection, stepKey } from './commands.ts';
import { retryDelayMs } from './retry-delay.ts';

type Phase =
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
  /** What a later run finds done already: by `stepKey` or the wait's id, in the order in which it came about. */
  results: ReadonlyMap<string, Result>;
  /** Signals that ended a wait of this job; none ends a second one. */
  usedSignals: ReadonlySet<string>;
}>;

export type Result =
  Readonly<{ kind: 'step'; output: Json }> | Readonly<{ kind: 'wait'; outcome: WaitOutcome }>;

type JobRequestState = Readonly<{
  workflow: string;
  trigger: Trigger | null;
  input: Json;
  concurrency: Concurrency | null;
  retry: RetryPolicy;
  deliveryId: string | null;
}>;

const nothing: readonly JobEvent[] = [];

const NO_RESULTS: ReadonlyMap<string, Result> = new Map();

/** What may happen to a job: read `decide` from top to bottom and you have the specification. */
export const job = decider<JobCommand, JobEvent, JobState>({
  initialState: {
    phase: { status: 'none' },
    request: {
      workflow: '',
      trigger: null,
      input: null,
      concurrency: null,
      retry: { maxAttempts: 1, firstDelayMs: 0, maxDelayMs: 0 },
      deliveryId: null,
    },
    attempt: 1,
    lastRunId: null,
    results: NO_RESULTS,
    usedSignals: new Set(),
  },

  evolve: {
    JobRequested: (state, { data }) => ({
      ...state,
      phase: { status: 'requested' },
      request: data,
    }),
    JobStarted: (state, { data: { runId, workerId, attempt } }) => ({
      ...state,
      phase: { status: 'running', runId, workerId },
      lastRunId: runId,
      attempt,
    }),
    JobStepCompleted: (state, { data }) => ({
      ...state,
      results: new Map(state.results).set(stepKey(data.name), {
        kind: 'step',
        output: data.output,
      }),
    }),
    JobPaused: (state, { data }) => ({ ...state, phase: { status: 'paused', wait: data.wait } }),
    JobResumed: (state, { data: { waitId, outcome } }) => ({
      ...state,
      phase: state.phase.status === 'paused' ? { ...state.phase, status: 'resumed' } : state.phase,
      results: new Map(state.results).set(waitId, { kind: 'wait', outcome }),
      usedSignals:
        outcome.kind === 'signal'
          ? new Set(state.usedSignals).add(outcome.signalId)
          : state.usedSignals,
    }),
    JobAttemptFailed: (state, { data }) => nextAttempt(state, data.nextAttemptAt),
    JobInterrupted: (state, { data }) =>
      data.reason === 'released'
        ? { ...state, phase: { status: 'requested' } }
        : nextAttempt(state, data.nextAttemptAt),
    JobCompleted: (state) => ({ ...state, phase: { status: 'completed' } }),
    JobFailed: (state) => ({ ...state, phase: { status: 'failed' } }),
    JobCancelled: (state) => ({ ...state, phase: { status: 'cancelled' } }),
    JobSuperseded: (state) => ({ ...state, phase: { status: 'superseded' } }),
    JobRetryRequested: (state, { data }) => ({
      ...state,
      phase: { status: 'requested' },
      results: keptResults(state, data.fromStep),
      attempt: 1,
    }),
  },

  decide: {
    // Deliveries come at least once: a job is requested once.
    RequestJob: ({ phase }, { at, data }) =>
      phase.status === 'none' ? [{ type: 'JobRequested', at, data }] : nothing,

    StartJob: (state, { at, data }) => {
      const { phase } = assertOpen(state);
      if (phase.status === 'running') {
        if (phase.runId === data.runId) return nothing;
        throw refused('job-already-running');
      }
      if (!isDue(phase, at)) throw refused('job-not-due');
      return [{ type: 'JobStarted', at, data: { ...data, attempt: state.attempt } }];
    },

    CompleteStep: (state, { at, data }) => {
      assertRunning(state, data.runId);
      if (state.results.has(stepKey(data.name))) return nothing;
      return [{ type: 'JobStepCompleted', at, data: { ...data, attempt: state.attempt } }];
    },

    PauseJob: (state, { at, data }) => {
      const { phase } = state;
      if (phase.status === 'paused' && phase.wait.id === data.wait.id) return nothing;
      assertRunning(state, data.runId);
      return [{ type: 'JobPaused', at, data: { ...data, attempt: state.attempt } }];
    },

    ResumeJob: (state, { at, data: { waitId, outcome } }) => {
      const { phase } = assertOpen(state);
      if (waitId !== null && state.results.has(waitId)) return nothing;
      if (phase.status !== 'paused') throw refused('job-not-paused');
      if (waitId !== null && waitId !== phase.wait.id) throw refused('job-not-paused');
      if (outcome.kind === 'signal' && state.usedSignals.has(outcome.signalId)) return nothing;
      if (outcome.kind === 'timeout' && !isOver(phase.wait, at)) throw refused('job-not-due');
      return [{ type: 'JobResumed', at, data: { waitId: phase.wait.id, outcome } }];
    },

    CompleteJob: (state, { at, data }) => {
      if (isRepeated(state, 'completed', data.runId)) return nothing;
      assertRunning(state, data.runId);
      return [{ type: 'JobCompleted', at, data: { ...data, attempt: state.attempt } }];
    },

    FailAttempt: (state, { at, data: { runId, error, retryAfterMs, jitter } }) => {
      if (isRepeated(state, 'retrying', runId) || isRepeated(state, 'failed', runId))
        return nothing;
      assertRunning(state, runId);
      const { attempt, request } = state;
      if (error.classification === 'permanent' || attempt >= request.retry.maxAttempts) {
        return [{ type: 'JobFailed', at, data: { attempt, error } }];
      }
      const delayMs = retryAfterMs ?? retryDelayMs(request.retry, attempt, jitter);
      const nextAttemptAt = after(at, delayMs);
      return [{ type: 'JobAttemptFailed', at, data: { runId, attempt, error, nextAttemptAt } }];
    },

    InterruptJob: (state, { at, data: { runId, reason } }) => {
      if (state.phase.status !== 'running' && state.lastRunId === runId) return nothing;
      assertRunning(state, runId);
      const { attempt, request } = state;
      const interrupted: JobEvent = {
        type: 'JobInterrupted',
        at,
        data: { runId, attempt, reason, nextAttemptAt: after(at, 0) },
      };
      if (reason === 'released' || attempt < request.retry.maxAttempts) return [interrupted];
      return [interrupted, { type: 'JobFailed', at, data: { attempt, error: LEASE_EXPIRED } }];
    },

    CancelJob: (state, { at, data }) => {
      if (state.phase.status === 'cancelled') return nothing;
      assertOpen(state);
      return [{ type: 'JobCancelled', at, data }];
    },

    SupersedeJob: (state, { at, data }) => {
      if (state.phase.status === 'superseded') return nothing;
      assertOpen(state);
      return [{ type: 'JobSuperseded', at, data }];
    },

    RetryJob: (state, { at, data }) => {
      const { phase } = state;
      if (phase.status === 'none') throw refused('job-not-found');
      if (phase.status === 'requested') return nothing;
      if (phase.status === 'superseded') throw refused('job-superseded');
      if (!FINISHED.has(phase.status) && phase.status !== 'retrying') {
        throw refused('job-not-finished');
      }
      if (data.fromStep !== null && !state.results.has(stepKey(data.fromStep)))
        throw refused('step-not-found');
      return [{ type: 'JobRetryRequested', at, data }];
    },
  },
});

const FINISHED: ReadonlySet<Phase['status']> = new Set([
  'completed',
  'failed',
  'cancelled',
  'superseded',
]);

/** Why an interrupted job failed: the process that ran it ended or stalled each time. */
const LEASE_EXPIRED: Failure = {
  name: 'Interrupted',
  message:
    'The worker that ran the job fell silent in each attempt: look for what ends or stalls its process',
  classification: 'interrupted',
};

/** Whether the job has ended. */
export const isFinished = ({ phase }: JobState): boolean => FINISHED.has(phase.status);

const after = (at: Date, delayMs: number): string => new Date(at.getTime() + delayMs).toISOString();

const isOver = ({ until }: Wait, at: Date): boolean =>
  until !== null && Date.parse(until) <= at.getTime();

function isDue(phase: Phase, at: Date): boolean {
  if (phase.status === 'retrying') return Date.parse(phase.nextAttemptAt) <= at.getTime();
  return phase.status !== 'paused';
}

const isRepeated = (
  { phase, lastRunId }: JobState,
  status: Phase['status'],
  runId: string,
): boolean => phase.status === status && lastRunId === runId;

function assertOpen(state: JobState): JobState {
  if (state.phase.status === 'none') throw refused('job-not-found');
  if (FINISHED.has(state.phase.status)) throw refused('job-finished');
  return state;
}

function assertRunning({ phase }: JobState, runId: string): void {
  if (phase.status !== 'running' || phase.runId !== runId) throw refused('stale-run');
}

const nextAttempt = (state: JobState, nextAttemptAt: string): JobState => ({
  ...state,
  phase: { status: 'retrying', nextAttemptAt },
  attempt: state.attempt + 1,
});

/** What a retry keeps: all before the named step; without a name everything, but nothing of a completed job. */
function keptResults({ phase, results }: JobState, fromStep: string | null): JobState['results'] {
  if (fromStep === null) return phase.status === 'completed' ? NO_RESULTS : results;
  const entries = [...results];
  return new Map(
    entries.slice(
      0,
      entries.findIndex(([key]) => key === stepKey(fromStep)),
    ),
  );
}

const refused = (reason: JobRejection): Rejected<JobRejection> => new Rejected(reason);
