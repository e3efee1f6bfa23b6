import type { Event, Recorded } from '../events/event.ts';
import { type JobEvent, isJobEvent } from '../events/job.ts';
import type { SignalEvent } from '../events/signal.ts';
import { inParallel } from './in-parallel.ts';
import { type JobFold, UNKNOWN, foldJob } from './job-fold.ts';

const PARALLEL_READS = 8;

/** What the dispatcher reads of the log: what moves a job between phases, and signals. */
export const DISPATCHED_TYPES = [
  'JobRequested',
  'JobStarted',
  'JobPaused',
  'JobResumed',
  'JobAttemptFailed',
  'JobInterrupted',
  'JobCompleted',
  'JobFailed',
  'JobCancelled',
  'JobSuperseded',
  'JobRetryRequested',
  'SignalReceived',
] as const satisfies readonly (JobEvent | SignalEvent)['type'][];

/** A page of the log, folded: each job once, however many of its events it holds. */
export type FoldedPage = Readonly<{
  jobs: ReadonlyMap<string, JobFold>;
  signals: readonly Recorded<SignalEvent>[];
}>;

/** All events of a job before a version. */
export type ReadHistory = (jobId: string, before: number) => Promise<readonly Recorded<JobEvent>[]>;

/**
 * Folds a page in memory. Only a job with a requested retry needs what was before the page: it may have ended, and
 * then the table no longer knows it.
 */
export async function foldPage(
  page: readonly Recorded<Event>[],
  readHistory: ReadHistory,
): Promise<FoldedPage> {
  const events = page.filter((event) => isJobEvent(event));
  const jobs = await readRetried(events, readHistory);
  for (const event of events) {
    jobs.set(event.streamId, foldJob(jobs.get(event.streamId) ?? UNKNOWN, event));
  }
  return { jobs, signals: page.filter((event) => isSignal(event)) };
}

async function readRetried(
  events: readonly Recorded<JobEvent>[],
  readHistory: ReadHistory,
): Promise<Map<string, JobFold>> {
  const firstVersions = new Map<string, number>();
  for (const { streamId, version } of events) {
    if (!firstVersions.has(streamId)) firstVersions.set(streamId, version);
  }
  const retried = new Set(
    events.filter(({ type }) => type === 'JobRetryRequested').map(({ streamId }) => streamId),
  );
  const jobs = new Map<string, JobFold>();
  await inParallel([...retried], PARALLEL_READS, async (jobId) => {
    const history = await readHistory(jobId, firstVersions.get(jobId) ?? 1);
    jobs.set(jobId, history.reduce(foldJob, UNKNOWN));
  });
  return jobs;
}

const isSignal = (event: Recorded<Event>): event is Recorded<SignalEvent> =>
  event.type === 'SignalReceived';
