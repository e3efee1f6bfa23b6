import type { Wait } from '../events/job.ts';
import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { storable } from './storable.ts';

const RESUMED_AT_ONCE = 500;

type WaitingJob = Readonly<{
  jobId: string;
  waitId: string;
  on: Wait['on'];
  requestedPosition: bigint;
}>;

/**
 * Jobs that wait for such an event, whatever its payload must be, as far as the tables know, the oldest first. Those that
 * are missing, because they paused a moment ago or are too many for whoever sends the signal to wait for, the dispatcher
 * resumes.
 */
export async function findWaiting(
  database: Queryable,
  event: string,
  key: string | null,
): Promise<readonly WaitingJob[]> {
  const storableKey = key === null ? null : storable(key);
  // By the indexes: the planner does not know that few of many waiting jobs wait for this.
  const rows = await database.query<{ job_id: string; wait: Wait; requested: string }>(sql`
    select job.job_id, job.wait, job.requested_position::text as requested
    from (
      select job_id from dispatch.waits where event = ${storable(event)} and key is null
      union
      select job_id from dispatch.waits where event = ${storable(event)} and key = ${storableKey}
    ) as waiting
    cross join lateral (
      select job_id, wait, requested_position, line_position from dispatch.jobs
      where job_id = waiting.job_id and wait is not null offset 0
    ) as job
    order by job.line_position limit ${RESUMED_AT_ONCE}`);
  return rows.map(({ job_id: jobId, wait: { id: waitId, on }, requested }) => {
    return { jobId, waitId, on, requestedPosition: BigInt(requested) };
  });
}
