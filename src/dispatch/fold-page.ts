import type { Event, Recorded } from '../events/event.ts';
import { FINAL_EVENTS, type JobEvent, isJobEvent } from '../events/job.ts';
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
  bursts: readonly BurstChange[];
}>;

/** In a burst of debounced jobs: another one came, or one began or ended. */
export type BurstChange = Readonly<{
  jobId: string;
  at: Date;
  request: Extract<JobEvent, { type: 'JobRequested' }>['data'] | null;
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
  return {
    jobs,
    signals: page.filter((event) => isSignal(event)),
    bursts: burstChanges(events),
  };
}

/** In order; none unless a debounced job was requested, as that is rare and the others are many. */
function burstChanges(events: readonly Recorded<JobEvent>[]): readonly BurstChange[] {
  if (!events.some(isDebounced)) return [];
  return events
    .filter((event) => isDebounced(event) || OVER.has(event.type))
    .map((event) => ({
      jobId: event.streamId,
      at: event.recordedAt,
      request: event.type === 'JobRequested' ? event.data : null,
    }));
}

const isDebounced = (event: JobEvent): boolean =>
  event.type === 'JobRequested' && event.data.concurrency?.strategy === 'debounce';

/** Of a job after which its burst waits no longer. */
const OVER: ReadonlySet<string> = new Set(['JobStarted', ...FINAL_EVENTS]);

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
    // What began before the page was noted then.
    jobs.set(jobId, { ...history.reduce(foldJob, UNKNOWN), starts: [] });
  });
  return jobs;
}

const isSignal = (event: Recorded<Event>): event is Recorded<SignalEvent> =>
  event.type === 'SignalReceived';
