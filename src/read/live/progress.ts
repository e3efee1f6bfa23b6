import { backoffMs, pause } from '../../platform/backoff.ts';
import type { Queryable } from '../../platform/database.ts';
import type { Logger } from '../../platform/logger.ts';
import { sql } from '../../platform/sql.ts';
import type { LiveLog } from './live-log.ts';

/** Nobody hears more often than this how far a job is. */
const EVERY_MS = 1_000;

type Said = Readonly<{ job_id: string; at: string }>;

/**
 * Tells subscribers when jobs have said how far they are. That is no event, and nothing announces it: the few rows of
 * the jobs that run are looked at every second, while anybody wants to know.
 */
export async function followProgress(
  { live, database, logger }: Readonly<{ live: LiveLog; database: Queryable; logger: Logger }>,
  signal: AbortSignal,
): Promise<void> {
  let known: ReadonlyMap<string, string> = new Map();
  let failures = 0;
  while (!signal.aborted) {
    try {
      if (live.wantsProgress) known = await tellNews(live, await saidLately(database), known);
      failures = 0;
      await pause(EVERY_MS, signal);
    } catch (error) {
      failures++;
      logger.warn({ err: error }, 'the progress of jobs could not be read');
      await pause(backoffMs(failures), signal);
    }
  }
}

async function tellNews(
  live: LiveLog,
  said: readonly Said[],
  known: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, string>> {
  for (const { job_id: jobId, at } of said) {
    if (known.get(jobId) !== at) await live.progressed(jobId);
  }
  return new Map(said.map(({ job_id: jobId, at }) => [jobId, at]));
}

/** Longer ago than a commit may take is known already. */
const saidLately = (database: Queryable): Promise<readonly Said[]> =>
  database.query<Said>(sql`
    select job_id, at::text as at from dispatch.progress
    where percent is not null and at > clock_timestamp() - interval '30 seconds'`);
