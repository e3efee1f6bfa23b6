import { type ApprovalAnswer, mayAnswer } from '../../events/approval.ts';
import {
  type AttemptFailure,
  type Failure,
  JOB_TIMEOUT,
  type JobEvent,
  type Run,
  type Wait,
} from '../../events/job.ts';
import { matchesPayload } from '../../events/payload-match.ts';
import { decider } from '../decider.ts';
import { Rejected } from '../rejected.ts';
import { type FailedStep, type JobCommand, type JobRejection, stepKey } from './commands.ts';
import { retryDelayMs } from './retry-delay.ts';
import { type JobState, type Phase, evolve, initialState } from './state.ts';

export type { JobState };

const nothing: readonly JobEvent[] = [];

/** What may happen to a job: read `decide` from top to bottom and you have the specification. */
export const job = decider<JobCommand, JobEvent, JobState>({
  initialState,
  evolve,

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

    FailStep: (state, { at, data }) => {
      assertRunning(state, data.runId);
      if (state.results.has(stepKey(data.name))) return nothing;
      const tries = triesOf(state, data.name);
      return [{ type: 'JobStepFailed', at, data: { ...data, attempt: state.attempt, tries } }];
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

    AnswerApproval: (state, { at, data }) => {
      const { phase } = assertOpen(state);
      if (phase.status === 'resumed' && isAnswered(state, phase.wait.id, data)) return nothing;
      const approval = phase.status === 'paused' ? phase.wait.approval : undefined;
      if (phase.status !== 'paused' || approval === undefined) throw refused('approval-not-asked');
      if (!mayAnswer(approval, data.by)) throw refused('not-an-approver');
      const outcome = { kind: 'manual', payload: { ...data } } as const;
      return [{ type: 'JobResumed', at, data: { waitId: phase.wait.id, outcome } }];
    },

    CompleteJob: (state, { at, data }) => {
      if (isRepeated(state, 'completed', data.runId)) return nothing;
      assertRunning(state, data.runId);
      return [{ type: 'JobCompleted', at, data: { ...data, attempt: state.attempt } }];
    },

    FailAttempt: (state, { at, data: { runId, retryAfterMs, jitter, steps, ...why } }) => {
      if (isRepeated(state, 'retrying', runId) || isRepeated(state, 'failed', runId))
        return nothing;
      assertRunning(state, runId);
      const { attempt, request } = state;
      const failed = { runId, attempt, ...why };
      if (steps !== undefined) return [retriedSteps(state, { at, failed, steps, jitter })];
      if (why.error.classification === 'permanent' || attempt >= request.retry.maxAttempts) {
        return [{ type: 'JobFailed', at, data: { attempt, ...why } }];
      }
      const nextAttemptAt = after(at, retryAfterMs ?? retryDelayMs(request.retry, attempt, jitter));
      return [{ type: 'JobAttemptFailed', at, data: { ...failed, nextAttemptAt } }];
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

    ExpireJob: (state, { at }) => {
      const { attempt, deadline } = assertOpen(state);
      if (deadline === null || Date.parse(deadline) > at.getTime()) throw refused('job-not-due');
      return [{ type: 'JobFailed', at, data: { attempt, error: outOfTime(state) } }];
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

const outOfTime = ({ phase, request: { timeoutMs = 0 } }: JobState): Failure => ({
  name: JOB_TIMEOUT,
  message: `The job was not done within ${String(timeoutMs)} ms: it was ${phase.status} at its deadline`,
  classification: 'timeout',
});

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

/** Whether the same person has said the same. */
function isAnswered({ results }: JobState, waitId: string, answer: ApprovalAnswer): boolean {
  const kept = results.get(waitId);
  if (kept?.kind !== 'wait' || kept.outcome.kind !== 'manual') return false;
  const { approved, by } = answer;
  return matchesPayload({ approved, by }, kept.outcome.payload);
}

/** How often a step has failed, with the failure that is decided on now. */
const triesOf = ({ stepTries }: JobState, name: string): number => (stepTries.get(name) ?? 0) + 1;

/** All steps that failed are tried again in one run, so it begins when the last of them is due. */
function retriedSteps(
  state: JobState,
  {
    at,
    failed,
    steps,
    jitter,
  }: Readonly<{
    at: Date;
    failed: Run & AttemptFailure;
    steps: readonly FailedStep[];
    jitter: number;
  }>,
): JobEvent {
  const delays = steps.map(
    ({ name, retry, retryAfterMs }) =>
      retryAfterMs ?? retryDelayMs(retry, triesOf(state, name), jitter),
  );
  const stepTries = Object.fromEntries(steps.map(({ name }) => [name, triesOf(state, name)]));
  const nextAttemptAt = after(at, Math.max(0, ...delays));
  return { type: 'JobAttemptFailed', at, data: { ...failed, stepTries, nextAttemptAt } };
}

const refused = (reason: JobRejection): Rejected<JobRejection> => new Rejected(reason);
