import type { Recorded } from '../events/event.ts';
import { JOB_TIMEOUT, isJobEvent } from '../events/job.ts';
import { onAbort } from './abort.ts';
import type { Claim } from './run-reports.ts';
import type { RunSignals } from './run-job.ts';

/** Something in the log that takes a job away from whoever runs it. */
export type JobNotice = Readonly<{ jobId: string; type: string; position: bigint }>;

/** Follows the log from now on, and gives the notices page by page until the signal aborts. */
export type JobNotices = (signal: AbortSignal) => AsyncIterable<readonly JobNotice[]>;

/** The types of events to follow, and what each says to the workflow. */
const LOSSES: Readonly<Record<string, string>> = {
  JobCancelled: 'the job was cancelled',
  JobSuperseded: 'a newer job took its place',
  JobInterrupted: 'the job was taken from this worker',
  JobFailed: 'the job was out of time',
};

export const LOSS_TYPES: readonly string[] = Object.keys(LOSSES);

/** The notice of an event of `LOSS_TYPES`; null where it is what a run says of its own end. */
export const noticeOf = (event: Recorded): JobNotice | null => {
  const { streamId: jobId, type, position } = event;
  const isEnd = isJobEvent(event) && event.type === 'JobFailed';
  return isEnd && event.data.error.name !== JOB_TIMEOUT ? null : { jobId, type, position };
};

type Running = Readonly<
  Pick<Claim, 'jobId'> & {
    /** Notices up to here are about earlier runs of the job. */
    since: bigint;
    lost: AbortController;
    drain: AbortController;
    release: AbortController;
  }
>;

/** The runs of this process, and how to stop them. */
export class RunningJobs {
  private readonly running = new Set<Running>();
  private readonly onIdle = new Set<() => void>();
  private readonly recent = new Map<string, JobNotice>();
  private draining = false;

  get size(): number {
    return this.running.size;
  }

  /** Runs until `run` ends; `leaseLost` takes the job away. */
  async run<T>(
    { jobId, history }: Claim,
    leaseLost: AbortSignal,
    run: (signals: RunSignals) => Promise<T>,
  ): Promise<T> {
    const job: Running = {
      jobId,
      since: history.position,
      lost: new AbortController(),
      drain: new AbortController(),
      release: new AbortController(),
    };
    const unlisten = onAbort(leaseLost, () => {
      job.lost.abort(leaseLost.reason);
    });
    if (this.draining) job.drain.abort();
    const notice = this.recent.get(jobId);
    if (notice !== undefined) lose(job, notice);
    this.running.add(job);
    try {
      return await run({
        lost: job.lost.signal,
        drain: job.drain.signal,
        release: job.release.signal,
      });
    } finally {
      unlisten();
      this.running.delete(job);
      this.tellIfIdle();
    }
  }

  /** Takes the jobs of the notices away from the runs that began before them. */
  heed(notices: readonly JobNotice[]): void {
    for (const notice of notices) {
      this.remember(notice);
      for (const job of this.running) {
        if (job.jobId === notice.jobId) lose(job, notice);
      }
    }
  }

  /** The log may tell of a cancellation before the claim has its answer. */
  private remember(notice: JobNotice): void {
    this.recent.delete(notice.jobId);
    this.recent.set(notice.jobId, notice);
    const [oldest] = this.recent.keys();
    if (this.recent.size > MAX_RECENT && oldest !== undefined) this.recent.delete(oldest);
  }

  /** Stops each at its next boundary, also what starts from now on. */
  drain(): void {
    this.draining = true;
    for (const { drain } of this.running) drain.abort();
  }

  /** Gives each back now. */
  release(): void {
    for (const { release } of this.running) release.abort();
  }

  /** Drops each without a word. */
  abandon(reason: Error): void {
    for (const { lost } of this.running) lost.abort(reason);
  }

  whenIdle(): Promise<void> {
    return new Promise((resolve) => {
      this.onIdle.add(resolve);
      this.tellIfIdle();
    });
  }

  private tellIfIdle(): void {
    if (this.running.size > 0) return;
    for (const resolve of this.onIdle) resolve();
    this.onIdle.clear();
  }
}

const MAX_RECENT = 1_000;

function lose(job: Running, { type, position }: JobNotice): void {
  if (position > job.since) job.lost.abort(new Error(LOSSES[type] ?? type));
}
