import type { Wait } from '../events/job.ts';
import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { storable } from './storable.ts';

/**
 * The jobs that wait for such an event, whatever its payload must be, as far as the tables know: a moment after a job paused it may be missing, and
 * the dispatcher then resumes it.
 */
export async function findWaiting(
  database: Queryable,
  event: string,
  key: string | null,
): Promise<readonly Readonly<{ jobId: string; waitId: string; on: Wait['on'] }>[]> {
  const rows = await database.query<{ job_id: string; wait: Wait }>(sql`
    select job_id, wait from dispatch.jobs
    where wait is not null and job_id in (
      select job_id from dispatch.waits
      where event = ${storable(event)} and (key is null or key = ${key === null ? null : storable(key)}))
    order by line_position`);
  return rows.map((row) => ({ jobId: row.job_id, waitId: row.wait.id, on: row.wait.on }));
}
