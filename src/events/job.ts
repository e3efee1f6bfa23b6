import type { Event, Json } from './event.ts';
import type { PayloadMatch } from './payload-match.ts';
import type { Trigger } from './trigger.ts';

/** All that can happen to a job. A job's stream id is its id. */
export type JobEvent =
  | Event<'JobRequested', JobRequest>
  | Event<'JobStarted', Run & { workerId: string } & Partial<WorkflowCode>>
  | Event<'JobStepCompleted', Run & { name: string; output: Json; startedAt: string }>
  | Event<'JobStepFailed', Run & StepPlace & { error: Failure; tries: number }>
  | Event<'JobPaused', Run & { wait: Wait }>
  | Event<'JobResumed', { waitId: string; outcome: WaitOutcome }>
  | Event<'JobAttemptFailed', Run & AttemptFailure & { nextAttemptAt: string }>
  | Event<'JobInterrupted', Run & { reason: InterruptReason; nextAttemptAt: string }>
  | Event<'JobCompleted', Run & { result: Json }>
  | Event<'JobFailed', { attempt: number; error: Failure; step?: StepPlace }>
  | Event<'JobCancelled', { reason: string | null }>
  | Event<'JobSuperseded', { by: string }>
  | Event<'JobRetryRequested', { fromStep: string | null }>;

export type JobRequest = Readonly<{
  workflow: string;
  trigger: Trigger;
  /** What a person or program gave with the request; null for a webhook. */
  input: Json;
  /** 0 to 9, the highest first. */
  priority: number;
  concurrency: Concurrency | null;
  /** Without it, or null: it may start at once. */
  rateLimit?: RateLimit | null;
  retry: RetryPolicy;
  /** The row of the delivery log that asked for it; null for a manual request. */
  deliveryId: string | null;
  /** How long it may take in all, from its request or from the retry that began it anew; left out: for ever. */
  timeoutMs?: number;
}>;

/**
 * What jobs of one workflow and key do to one another. `supersede`: the newest ends the older ones. `queue`: one at a
 * time, in request order. `limit`: so many at a time. `debounce`: none starts before no newer one has come for a while,
 * or the first of them has waited too long; the newest takes the place of those that have not started.
 */
export type Concurrency = Readonly<{ key: string }> & ConcurrencyStrategy;

type ConcurrencyStrategy =
  | Readonly<{ strategy: 'supersede' | 'queue' }>
  | Readonly<{ strategy: 'limit'; limit: number }>
  | Readonly<{ strategy: 'debounce'; quietMs: number; maxWaitMs: number }>;

/** At most `limit` jobs of a workflow and key start within any `perMs`. Their further attempts do not count. */
export type RateLimit = Readonly<{ key: string; limit: number; perMs: number }>;

export type RetryPolicy = Readonly<{
  maxAttempts: number;
  firstDelayMs: number;
  maxDelayMs: number;
}>;

/**
 * One stretch of work by one worker. `runId` is new for each claim, so a worker that lost the job
 * cannot speak for it. `attempt` counts failures, from 1: a pause or a drain does not use one up.
 */
export type Run = Readonly<{ runId: string; attempt: number }>;

/** Which code of the workflow a run has: the version that its author gave, and a hash of its text. */
export type WorkflowCode = Readonly<{ version: string; fingerprint: string }>;

/** A step, and when its function began. */
export type StepPlace = Readonly<{ name: string; startedAt: string }>;

/** Why a run failed that another one follows. */
export type AttemptFailure = Readonly<{
  error: Failure;
  /** The step whose error it is; left out: the error came from between the steps. */
  step?: StepPlace;
  /**
   * Steps with a retry policy of their own that failed, and how often by now. When it is there, the failure is theirs
   * and uses none of the job's attempts up.
   */
  stepTries?: Readonly<Record<string, number>>;
}>;

/** What a paused job waits for. It names the place in the workflow, so that a later run finds it again. */
export type Wait = Readonly<{
  id: string;
  kind: 'event' | 'sleep' | 'approval';
  /** Any one of these ends the wait; empty for `sleep`. A null key matches every key. */
  on: readonly AwaitedSignal[];
  /** When the wait ends by itself; null: never. */
  until: string | null;
  /** Work for another program, published until the wait ends. */
  request: WaitRequest | null;
  /** What a person is asked for; only an `approval` has it. */
  approval?: Approval;
}>;

/** `approvers`: the names of those whose answer counts; null: everybody's who may send signals. */
export type Approval = Readonly<{ name: string; approvers: readonly string[] | null }>;

/** A signal that ends a wait: of this name, with this key, and with a payload that matches if it must. */
export type AwaitedSignal = Readonly<{ event: string; key: string | null; match?: PayloadMatch }>;

/** Published to the topic exchange `workflow.events` under `request.<topic>`. */
export type WaitRequest = Readonly<{ topic: string; body: Json }>;

export type WaitOutcome =
  | Readonly<{ kind: 'signal'; signalId: string; event: string; key: string | null; payload: Json }>
  | Readonly<{ kind: 'timeout' }>
  | Readonly<{ kind: 'manual'; payload: Json }>;

/** `lease-expired`: its worker fell silent, which uses an attempt up. `released`: its worker gave it back. */
export type InterruptReason = 'lease-expired' | 'released';

export type Classification = 'transient' | 'rate-limited' | 'timeout' | 'interrupted' | 'permanent';

export type Failure = Readonly<{
  name: string;
  message: string;
  classification: Classification;
}>;

/** The name of the failure of a job that was open at its deadline. */
export const JOB_TIMEOUT = 'JobTimeout';

/** After these a job does nothing more, unless a retry is requested. */
export const FINAL_EVENTS = [
  'JobCompleted',
  'JobFailed',
  'JobCancelled',
  'JobSuperseded',
] as const satisfies readonly JobEvent['type'][];

/** When a job that was requested, or begun anew, at `at` is out of time; null: never. */
export const deadlineOf = (
  { timeoutMs }: Pick<JobRequest, 'timeoutMs'>,
  at: Date,
): string | null =>
  timeoutMs === undefined ? null : new Date(at.getTime() + timeoutMs).toISOString();

const JOB_EVENTS = {
  JobRequested: true,
  JobStarted: true,
  JobStepCompleted: true,
  JobStepFailed: true,
  JobPaused: true,
  JobResumed: true,
  JobAttemptFailed: true,
  JobInterrupted: true,
  JobCompleted: true,
  JobFailed: true,
  JobCancelled: true,
  JobSuperseded: true,
  JobRetryRequested: true,
} as const satisfies Record<JobEvent['type'], true>;

export const isJobEvent = <E extends Event>(event: E): event is E & JobEvent =>
  Object.hasOwn(JOB_EVENTS, event.type);
