import type { Json } from '../../src/events/event.ts';
import type {
  Failure,
  InterruptReason,
  JobEvent,
  JobRequest,
  StepPlace,
  Wait,
  WaitOutcome,
} from '../../src/events/job.ts';
import type { Trigger } from '../../src/events/trigger.ts';
import type { FailedStep, JobCommand } from '../../src/write/job/commands.ts';

/** Builders of one line for events (past tense) and commands (imperative); all at one moment unless said. */
export const AT = new Date('2026-11-20T12:00:00.000Z');

export const trigger: Trigger = {
  provider: 'github',
  source: 'github',
  deliveryId: 'd-1',
  event: 'pull_request',
  action: 'opened',
  repository: { fullName: 'octo/repo', url: null, cloneUrl: null },
  pullRequest: {
    number: 7,
    title: 'Add a thing',
    url: null,
    headRepository: 'octo/repo',
    baseBranch: 'main',
    baseSha: 'b'.repeat(40),
  },
  ref: 'feature',
  headSha: 'a'.repeat(40),
  baseSha: 'b'.repeat(40),
  sender: 'octocat',
};

export const request = (change: Partial<JobRequest> = {}): JobRequest => ({
  workflow: 'review',
  trigger,
  input: null,
  priority: 5,
  concurrency: null,
  retry: { maxAttempts: 3, firstDelayMs: 1_000, maxDelayMs: 60_000 },
  deliveryId: null,
  ...change,
});

export const failure = (change: Partial<Failure> = {}): Failure => ({
  name: 'Error',
  message: 'boom',
  classification: 'transient',
  ...change,
});

export const wait = (change: Partial<Wait> = {}): Wait => ({
  id: 'wait:done#0',
  kind: 'event',
  on: [{ event: 'done', key: null }],
  until: null,
  request: null,
  ...change,
});

export const signalled = (signalId = 's-1', payload: Json = null): WaitOutcome => ({
  kind: 'signal',
  signalId,
  event: 'done',
  key: null,
  payload,
});

export const later = (ms: number): string => new Date(AT.getTime() + ms).toISOString();

export const requested = (change: Partial<JobRequest> = {}): JobEvent => ({
  type: 'JobRequested',
  at: AT,
  data: request(change),
});
export const started = (runId = 'r1', attempt = 1): JobEvent => ({
  type: 'JobStarted',
  at: AT,
  data: { runId, attempt, workerId: 'w1' },
});
export const stepCompleted = (name: string, output: Json = null, runId = 'r1'): JobEvent => ({
  type: 'JobStepCompleted',
  at: AT,
  data: { runId, attempt: 1, name, output, startedAt: AT.toISOString() },
});
export const stepFailed = (name: string, tries = 1, runId = 'r1'): JobEvent => ({
  type: 'JobStepFailed',
  at: AT,
  data: { runId, attempt: 1, name, startedAt: AT.toISOString(), error: failure(), tries },
});
export const paused = (change: Partial<Wait> = {}, runId = 'r1'): JobEvent => ({
  type: 'JobPaused',
  at: AT,
  data: { runId, attempt: 1, wait: wait(change) },
});
export const resumed = (outcome: WaitOutcome = signalled(), waitId = wait().id): JobEvent => ({
  type: 'JobResumed',
  at: AT,
  data: { waitId, outcome },
});
export const attemptFailed = (attempt = 1, delayMs = 1_000, runId = 'r1'): JobEvent => ({
  type: 'JobAttemptFailed',
  at: AT,
  data: { runId, attempt, error: failure(), nextAttemptAt: later(delayMs) },
});
export const interrupted = (reason: InterruptReason, attempt = 1, runId = 'r1'): JobEvent => ({
  type: 'JobInterrupted',
  at: AT,
  data: { runId, attempt, reason, nextAttemptAt: AT.toISOString() },
});
export const completed = (result: Json = null, runId = 'r1'): JobEvent => ({
  type: 'JobCompleted',
  at: AT,
  data: { runId, attempt: 1, result },
});
export const failed = (attempt = 1, error: Failure = failure(), step?: StepPlace): JobEvent => ({
  type: 'JobFailed',
  at: AT,
  data: { attempt, error, ...(step === undefined ? {} : { step }) },
});
export const cancelled: JobEvent = { type: 'JobCancelled', at: AT, data: { reason: null } };
export const superseded: JobEvent = { type: 'JobSuperseded', at: AT, data: { by: 'newer' } };
export const retryRequested = (fromStep: string | null = null): JobEvent => ({
  type: 'JobRetryRequested',
  at: AT,
  data: { fromStep },
});

export const requestJob = (change: Partial<JobRequest> = {}): JobCommand => ({
  type: 'RequestJob',
  at: AT,
  data: request(change),
});
export const start = (runId = 'r1', atMs = 0): JobCommand => ({
  type: 'StartJob',
  at: new Date(AT.getTime() + atMs),
  data: { runId, workerId: 'w1' },
});
export const completeStep = (name: string, output: Json = null, runId = 'r1'): JobCommand => ({
  type: 'CompleteStep',
  at: AT,
  data: { runId, name, output, startedAt: AT.toISOString() },
});
export const failStep = (name: string, runId = 'r1'): JobCommand => ({
  type: 'FailStep',
  at: AT,
  data: { runId, name, startedAt: AT.toISOString(), error: failure() },
});
/** These steps failed, and have tries left. */
export const retrySteps = (
  steps: readonly Pick<FailedStep, 'name' | 'retryAfterMs'>[],
  { runId = 'r1', jitter = 1 }: { runId?: string; jitter?: number } = {},
): JobCommand => {
  const retry = { maxAttempts: 3, firstDelayMs: 100, maxDelayMs: 10_000 };
  return {
    type: 'FailAttempt',
    at: AT,
    data: {
      runId,
      error: failure(),
      retryAfterMs: null,
      jitter,
      steps: steps.map((step) => ({ ...step, retry })),
    },
  };
};
export const expire = (atMs: number): JobCommand => ({
  type: 'ExpireJob',
  at: new Date(AT.getTime() + atMs),
});
export const pause = (change: Partial<Wait> = {}, runId = 'r1'): JobCommand => ({
  type: 'PauseJob',
  at: AT,
  data: { runId, wait: wait(change) },
});
export const resume = (
  outcome: WaitOutcome = signalled(),
  waitId: string | null = wait().id,
  atMs = 0,
): JobCommand => ({
  type: 'ResumeJob',
  at: new Date(AT.getTime() + atMs),
  data: { waitId, outcome },
});
export const complete = (runId = 'r1', result: Json = null): JobCommand => ({
  type: 'CompleteJob',
  at: AT,
  data: { runId, result },
});
export const fail = (
  runId = 'r1',
  error: Partial<Failure> = {},
  { retryAfterMs = null, jitter = 1 }: { retryAfterMs?: number | null; jitter?: number } = {},
): JobCommand => ({
  type: 'FailAttempt',
  at: AT,
  data: { runId, error: failure(error), retryAfterMs, jitter },
});
export const interrupt = (reason: InterruptReason, runId = 'r1'): JobCommand => ({
  type: 'InterruptJob',
  at: AT,
  data: { runId, reason },
});
export const cancel: JobCommand = { type: 'CancelJob', at: AT, data: { reason: null } };
export const supersede: JobCommand = { type: 'SupersedeJob', at: AT, data: { by: 'newer' } };
export const retry = (fromStep: string | null = null): JobCommand => ({
  type: 'RetryJob',
  at: AT,
  data: { fromStep },
});
