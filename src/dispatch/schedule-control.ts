import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';

export type ScheduleName = Readonly<{ workflow: string; name: string }>;

/** Starts nothing from now on, until it is resumed. False: there is no such schedule. Twice is once. */
export async function pauseSchedule(
  database: Queryable,
  { workflow, name }: ScheduleName,
  by: string,
): Promise<boolean> {
  const found = await database.query(sql`
    update dispatch.schedules
    set paused_by = case when paused_at is null then ${by} else paused_by end,
      paused_at = coalesce(paused_at, clock_timestamp())
    where workflow = ${workflow} and name = ${name}
    returning 1`);
  return found.length > 0;
}

/** Goes on with the next time; what passed while it was paused is not made up for. False: there is no such schedule. */
export async function resumeSchedule(
  database: Queryable,
  { workflow, name }: ScheduleName,
): Promise<boolean> {
  const found = await database.query(sql`
    update dispatch.schedules
    set next_at = case when paused_at is null then next_at end, paused_at = null, paused_by = null
    where workflow = ${workflow} and name = ${name}
    returning 1`);
  return found.length > 0;
}
