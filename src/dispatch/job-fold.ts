import type { Recorded } from '../events/event.ts';
import {
  type Concurrency,
  type JobEvent,
  type RateLimit,
  type Wait,
  deadlineOf,
} from '../events/job.ts';

/** What a job is from its request on. */
export type Opening = Readonly<{
  workflow: string;
  repository: string | null;
  priority: number;
  concurrency: Concurrency | null;
  rateLimit: RateLimit | null;
  timeoutMs?: number;
  /** When it is out of time; null: never. */
  deadline: string | null;
  requestedPosition: bigint;
  /** Where it was opened: by its request, or by the retry of a job that had ended. */
  linePosition: bigint;
  /** It had ended, and somebody asked for it again. */
  isRetried: boolean;
}>;

/** A worker took a job for the first time since it was opened, as far as these events say. */
export type Start = Readonly<{ at: Date; opening: Opening | null }>;

export type PhaseName = 'requested' | 'running' | 'paused' | 'resumed' | 'retrying';

/** Where an open job stands since its last event. */
export type Phase = Readonly<{
  name: PhaseName;
  version: number;
  position: bigint;
  since: Date;
  runId: string | null;
  workerId: string | null;
  wait: Wait | null;
  nextAttemptAt: string | null;
  /** When its appender told the workers of it; null: the dispatcher is to do so. */
  hintedAt: Date | null;
}>;

/** A job after some of its events. What was before them is known only if they begin with its request. */
export type JobFold = Readonly<{
  /** null: as it is in the table. */
  opening: Opening | null;
  /** null: it has ended. */
  phase: Phase | null;
  /** Whether it may have been paused before its last event, and is no longer. */
  leftPause: boolean;
  /** Signals that ended a wait in these events. */
  usedSignals: readonly string[];
  /** Whether these events say that a worker has had it since it was opened. */
  hasBegun: boolean;
  starts: readonly Start[];
}>;

export const UNKNOWN: JobFold = {
  opening: null,
  phase: null,
  leftPause: false,
  usedSignals: [],
  hasBegun: false,
  starts: [],
};

/** Folds one event of a job. Steps change nothing here. */
export function foldJob(fold: JobFold, event: Recorded<JobEvent>): JobFold {
  // TypeScript cannot see that `CHANGES[event.type]` takes exactly `event`; the type of `CHANGES` guarantees it.
  const change = CHANGES[event.type] as (fold: JobFold, event: Recorded<JobEvent>) => JobFold;
  return change(fold, event);
}

const CHANGES: {
  readonly [T in JobEvent['type']]: (
    fold: JobFold,
    event: Recorded<Extract<JobEvent, { type: T }>>,
  ) => JobFold;
} = {
  JobRequested: (fold, event) => ({
    ...fold,
    opening: {
      workflow: event.data.workflow,
      repository: repositoryOf(event.data.trigger),
      priority: event.data.priority,
      concurrency: event.data.concurrency,
      rateLimit: event.data.rateLimit ?? null,
      deadline: deadlineOf(event.data, event.at),
      ...(event.data.timeoutMs === undefined ? {} : { timeoutMs: event.data.timeoutMs }),
      requestedPosition: event.position,
      linePosition: event.position,
      isRetried: false,
    },
    phase: phase('requested', event),
  }),
  JobStarted: (fold, event) => ({
    ...fold,
    hasBegun: true,
    starts: fold.hasBegun
      ? fold.starts
      : [...fold.starts, { at: event.recordedAt, opening: fold.opening }],
    phase: {
      ...phase('running', event),
      runId: event.data.runId,
      workerId: event.data.workerId,
    },
  }),
  JobStepCompleted: (fold) => fold,
  JobStepFailed: (fold) => fold,
  JobPaused: (fold, event) => ({
    ...fold,
    phase: { ...phase('paused', event), wait: event.data.wait },
  }),
  JobResumed: (fold, event) => ({
    ...fold,
    phase: phase('resumed', event),
    leftPause: true,
    usedSignals:
      event.data.outcome.kind === 'signal'
        ? [...fold.usedSignals, event.data.outcome.signalId]
        : fold.usedSignals,
  }),
  JobAttemptFailed: (fold, event) => ({
    ...fold,
    phase: { ...phase('retrying', event), nextAttemptAt: event.data.nextAttemptAt },
  }),
  JobInterrupted: (fold, event) => ({
    ...fold,
    phase:
      event.data.reason === 'released'
        ? phase('requested', event)
        : { ...phase('retrying', event), nextAttemptAt: event.data.nextAttemptAt },
  }),
  JobCompleted: ended,
  JobFailed: ended,
  JobCancelled: ended,
  JobSuperseded: ended,
  JobRetryRequested: ({ opening, ...fold }, event) => {
    if (opening === null) {
      throw new Error(`${event.streamId} is retried, and what it was before was not read`);
    }
    const again = { ...opening, deadline: deadlineOf(opening, event.at) };
    const requested = { ...fold, opening: again, phase: phase('requested', event) };
    if (fold.phase !== null) return requested;
    // It had ended: its place in lines is a new one, and its rate counts it again.
    const reopened = { ...again, linePosition: event.position, isRetried: true };
    return { ...requested, opening: reopened, hasBegun: false };
  },
};

function ended(fold: JobFold): JobFold {
  return { ...fold, phase: null, leftPause: true };
}

const phase = (
  name: PhaseName,
  { version, position, recordedAt, metadata }: Recorded<JobEvent>,
): Phase => ({
  name,
  version,
  position,
  since: recordedAt,
  runId: null,
  workerId: null,
  wait: null,
  nextAttemptAt: null,
  hintedAt: metadata.hinted === true ? recordedAt : null,
});

const repositoryOf = ({
  source,
  repository,
}: Extract<JobEvent, { type: 'JobRequested' }>['data']['trigger']): string | null =>
  repository === null ? null : `${source}/${repository.fullName}`;
