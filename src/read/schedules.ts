import type { Queryable } from '../platform/database.ts';
import { type Statement, sql } from '../platform/sql.ts';

export type ApiSchedule = Readonly<{
  workflow: string;
  name: string;
  cron: string;
  timeZone: string;
  input: unknown;
  nextAt: Date | null;
  lastAt: Date | null;
  lastJobId: string | null;
  pausedAt: Date | null;
  pausedBy: string | null;
}>;

/** The schedules that the dispatcher follows. */
export const listSchedules = (database: Queryable): Promise<readonly ApiSchedule[]> =>
  database.query(sql`${SCHEDULES} order by workflow, name`);

export async function findSchedule(
  database: Queryable,
  { workflow, name }: Readonly<{ workflow: string; name: string }>,
): Promise<ApiSchedule | null> {
  const [schedule] = await database.query<ApiSchedule>(
    sql`${SCHEDULES} where workflow = ${workflow} and name = ${name}`,
  );
  return schedule ?? null;
}

const SCHEDULES: Statement = sql`
  select workflow, name, cron, time_zone as "timeZone", job->'input' as input,
    case when paused_at is null then next_at end as "nextAt", last_at as "lastAt",
    last_job_id as "lastJobId", paused_at as "pausedAt", paused_by as "pausedBy"
  from dispatch.schedules`;
