import type { ApprovalAnswer } from '../../events/approval.ts';
import type { Json } from '../../events/event.ts';
import type {
  Failure,
  InterruptReason,
  JobRequest,
  RetryPolicy,
  StepPlace,
  Wait,
  WaitOutcome,
  WorkflowCode,
} from '../../events/job.ts';

type Command<Type extends string, Data> = Readonly<{ type: Type; at: Date; data: Readonly<Data> }>;

/** A worker speaks for one run of the job; the run's id is its right to do so. */
type ByRun = Readonly<{ runId: string }>;

export type JobCommand =
  | Command<'RequestJob', JobRequest>
  | Command<'StartJob', ByRun & { workerId: string } & Partial<WorkflowCode>>
  | Command<'CompleteStep', ByRun & { name: string; output: Json; startedAt: string }>
  | Command<'FailStep', ByRun & StepPlace & { error: Failure }>
  | Command<'PauseJob', ByRun & { wait: Wait }>
  | Command<'ResumeJob', { waitId: string | null; outcome: WaitOutcome }>
  | Command<'AnswerApproval', ApprovalAnswer>
  | Command<'CompleteJob', ByRun & { result: Json }>
  | Command<'FailAttempt', ByRun & FailedAttempt>
  | Command<'InterruptJob', ByRun & { reason: InterruptReason }>
  /** Its deadline has passed. */
  | Readonly<{ type: 'ExpireJob'; at: Date }>
  | Command<'CancelJob', { reason: string | null }>
  | Command<'SupersedeJob', { by: string }>
  | Command<'RetryJob', { fromStep: string | null }>;

export type FailedAttempt = Readonly<{
  error: Failure;
  /** When the workflow asked for a delay of its own, in milliseconds. */
  retryAfterMs: number | null;
  /** 0 to 1, drawn by whoever sends the command: spreads the retries out. */
  jitter: number;
  /** The step whose error it is, if it is one's. */
  step?: StepPlace;
  /** Steps with tries of their own left; they failed, and not the attempt. */
  steps?: readonly FailedStep[];
}>;

/** A step that is to be tried again, by its own policy. */
export type FailedStep = Readonly<{
  name: string;
  retry: RetryPolicy;
  retryAfterMs: number | null;
}>;

export type JobRejection =
  /** No event of this job is in the log. */
  | 'job-not-found'
  /** It has ended. */
  | 'job-finished'
  /** A retry is for jobs that ended, or that wait for their next attempt. */
  | 'job-not-finished'
  /** A newer job took its place; retry that one. */
  | 'job-superseded'
  /** Another run has it. */
  | 'job-already-running'
  /** Its next attempt is not due, or what it waits for has not come. */
  | 'job-not-due'
  /** It waits for nothing, or for something else. */
  | 'job-not-paused'
  /** It asks nobody for an approval now. */
  | 'approval-not-asked'
  /** The approval is for others to give. */
  | 'not-an-approver'
  /** The run that speaks has lost the job. */
  | 'stale-run'
  /** No completed step has this name. */
  | 'step-not-found'
  /** The job is not at the version that the caller saw. */
  | 'version-conflict';

/** Where `JobState.results` keeps what a step gave; a wait's outcome is kept under the wait's own id. */
export const stepKey = (name: string): string => `step:${name}`;
