import type { JobRequest } from '../events/job.ts';

/** A job that a worker may take since its last event. */
export type ReadyJob = Readonly<{
  jobId: string;
  workflow: string;
  /** New or resumed: the latter have waited before. */
  kind: 'new' | 'resumed';
  priority: number;
  version: number;
  /** null where whoever stored it was not told. */
  position: bigint | null;
}>;

/**
 * Tells workers of a job as soon as it is stored, which spares it the way through the dispatcher. Whoever appends says
 * in the event's metadata that it will (`hinted`), so that the dispatcher does not tell of it too; a hint that gets lost
 * is published again by the dispatcher.
 */
export interface PromptHints {
  /** Whether this process may tell of one more job now. Each yes is followed by `publish` or `giveBack`. */
  reserve(): boolean;

  /** Never throws, and waits for nothing. */
  publish(job: ReadyJob): void;

  /** The job was not stored by us after all. */
  giveBack(): void;
}

/** Jobs that may have to wait for others of their key are only the dispatcher's to tell of. */
export const isPrompt = ({
  concurrency,
  rateLimit = null,
}: Pick<JobRequest, 'concurrency' | 'rateLimit'>): boolean =>
  rateLimit === null && (concurrency === null || concurrency.strategy === 'supersede');
