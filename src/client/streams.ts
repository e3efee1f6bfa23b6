import { DOCUMENTS } from './documents.ts';
import type { Source } from './resumed.ts';
import type { Job, JobEvent, JobStatus, Position } from './types.ts';

export type EventsOptions = Readonly<{
  /** Give what stands after this place; without it, what comes from now on. */
  after?: Position | bigint;
  /** Only these types. */
  types?: readonly string[];
  /** Only the events of this job. */
  jobId?: string;
  /** Ends the stream. */
  signal?: AbortSignal;
}>;

const FINAL: ReadonlySet<JobStatus> = new Set(['COMPLETED', 'FAILED', 'CANCELLED', 'SUPERSEDED']);

/** A job up to its final status. A connection begins with the job as it is, so versions that were seen come again. */
export function jobSource(id: string): Source<Job> {
  let seen = -1;
  return {
    request: () => Promise.resolve({ query: DOCUMENTS.jobUpdated, variables: { id } }),
    accept: (data) => {
      const { jobUpdated: job } = data as { jobUpdated: Job };
      if (job.version <= seen) return null;
      seen = job.version;
      return job;
    },
    isLast: ({ status }) => FINAL.has(status),
  };
}

/** The log from after a place. `head` gives the end of the log, for a stream that begins there. */
export function eventSource(
  { after, types, jobId }: EventsOptions,
  head: (signal: AbortSignal) => Promise<bigint | null>,
): Source<JobEvent> {
  let last = after === undefined ? null : BigInt(after);
  return {
    request: async (signal) => {
      // Without a place, a connection that is lost before the first event would leave a gap.
      last ??= await head(signal);
      const variables = {
        ...(last === null ? {} : { after: String(last) }),
        ...(types === undefined ? {} : { types }),
        ...(jobId === undefined ? {} : { jobId }),
      };
      return { query: DOCUMENTS.jobEvents, variables };
    },
    accept: (data) => {
      const { jobEvents: event } = data as { jobEvents: JobEvent };
      const position = BigInt(event.position);
      if (last !== null && position <= last) return null;
      last = position;
      return event;
    },
    isLast: () => false,
  };
}
