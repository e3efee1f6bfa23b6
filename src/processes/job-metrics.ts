import type { Recorded } from '../events/event.ts';
import type { JobEvent } from '../events/job.ts';
import type { Metrics } from '../platform/metrics.ts';

/** Jobs beyond this many are counted, but how long they waited is not known. */
const MAX_KNOWN = 50_000;

type Known = { workflow: string; readyAt: number | null };

/** The status that a job comes into with an event; null where it stays in the one it is in. */
const STATUS: Readonly<Record<JobEvent['type'], string | null>> = {
  JobRequested: 'REQUESTED',
  JobStarted: 'RUNNING',
  JobStepCompleted: null,
  JobStepFailed: null,
  JobPaused: 'PAUSED',
  JobResumed: null,
  JobAttemptFailed: 'RETRYING',
  JobInterrupted: null,
  JobCompleted: 'COMPLETED',
  JobFailed: 'FAILED',
  JobCancelled: 'CANCELLED',
  JobSuperseded: 'SUPERSEDED',
  JobRetryRequested: 'REQUESTED',
};

/** Counts what happens to jobs while this process leads, and how long they waited for a worker. */
export class JobMetrics {
  private readonly jobs = new Map<string, Known>();

  constructor(private readonly metrics: Pick<Metrics, 'jobs' | 'jobQueueSeconds'>) {}

  observe(event: Recorded<JobEvent>): void {
    const { streamId: jobId, type } = event;
    if (type === 'JobRequested') {
      this.jobs.set(jobId, { workflow: event.data.workflow, readyAt: null });
    }
    const job = this.jobs.get(jobId) ?? { workflow: 'unknown', readyAt: null };
    const { workflow } = job;
    if (type === 'JobStarted' && job.readyAt !== null) {
      const seconds = Math.max(0, event.at.getTime() - job.readyAt) / 1_000;
      this.metrics.jobQueueSeconds.observe({ workflow }, seconds);
    }
    job.readyAt = readyAt(event);
    const status = STATUS[type];
    if (status !== null) this.metrics.jobs.inc({ workflow, status });
    if (status === 'COMPLETED' || this.jobs.size > MAX_KNOWN) this.forget(jobId);
  }

  private forget(jobId: string): void {
    this.jobs.delete(jobId);
    const [oldest] = this.jobs.keys();
    if (this.jobs.size >= MAX_KNOWN && oldest !== undefined) this.jobs.delete(oldest);
  }
}

/** When a worker may take the job, if this event lets one; in milliseconds. */
function readyAt(event: JobEvent): number | null {
  if (event.type === 'JobAttemptFailed' || event.type === 'JobInterrupted') {
    return Date.parse(event.data.nextAttemptAt);
  }
  const ready = ['JobRequested', 'JobResumed', 'JobRetryRequested'].includes(event.type);
  return ready ? event.at.getTime() : null;
}
