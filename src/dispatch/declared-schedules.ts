import type { JobRequest } from '../events/job.ts';
import type { Queryable } from '../platform/database.ts';
import { type Statement, sql } from '../platform/sql.ts';

/** What a schedule's jobs are requested with. */
export type ScheduledJob = Omit<JobRequest, 'deliveryId'>;

/** Part of what a worker's row in `dispatch.declarations` says. */
export type DeclaredSchedule = Readonly<{
  workflow: string;
  name: string;
  cron: string;
  timeZone: string;
  job: ScheduledJob;
}>;

/** A schedule that no worker has had for so long is forgotten, with whether it was paused. */
const FORGET_DAYS = 30;

/**
 * Brings `dispatch.schedules` in line with what the workers that are alive say, and gives what they say. Where two
 * versions run side by side, the worker that started last says how a schedule is, and one that any of them has stays. One is removed
 * when those that know its workflow no longer have it; while nobody knows the workflow, it waits.
 */
export async function reconcileSchedules(
  database: Queryable,
  leaseMs: number,
): Promise<readonly DeclaredSchedule[]> {
  const workers = await database.query<Declaration>(sql`
    select workflows, schedules from dispatch.declarations
    where last_seen_at > clock_timestamp() - make_interval(secs => ${leaseMs / 1_000})
    order by started_at, id`);
  const declared = new Map<string, DeclaredSchedule>();
  for (const { schedules } of workers) {
    for (const each of schedules) declared.set(JSON.stringify([each.workflow, each.name]), each);
  }
  const schedules = [...declared.values()];
  await database.query(keep(schedules));
  await database.query(forget(schedules, [...new Set(workers.flatMap((each) => each.workflows))]));
  return schedules;
}

/** Written by the workers of this service, so it is what its type says. */
type Declaration = Readonly<{
  workflows: readonly string[];
  schedules: readonly DeclaredSchedule[];
}>;

const keep = (schedules: readonly DeclaredSchedule[]): Statement => sql`
  insert into dispatch.schedules as schedule (workflow, name, cron, time_zone, job)
  select workflow, name, cron, "timeZone", job
  from json_to_recordset(${JSON.stringify(schedules)}) as declared (
    workflow text, name text, cron text, "timeZone" text, job json)
  on conflict (workflow, name) do update set
    next_at = case
      when schedule.cron = excluded.cron and schedule.time_zone = excluded.time_zone
      then schedule.next_at end,
    cron = excluded.cron, time_zone = excluded.time_zone, job = excluded.job,
    declared_at = clock_timestamp()
  where schedule.cron <> excluded.cron or schedule.time_zone <> excluded.time_zone
    or schedule.job::text <> excluded.job::text
    or schedule.declared_at < clock_timestamp() - interval '1 minute'`;

const forget = (
  schedules: readonly DeclaredSchedule[],
  knownWorkflows: readonly string[],
): Statement => sql`
  delete from dispatch.schedules as schedule
  where not exists (
      select from json_to_recordset(${JSON.stringify(schedules)}) as declared (
        workflow text, name text)
      where declared.workflow = schedule.workflow and declared.name = schedule.name)
    and (workflow = any (${knownWorkflows})
      or declared_at < clock_timestamp() - make_interval(days => ${FORGET_DAYS}))`;
