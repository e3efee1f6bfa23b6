import type { Wait } from '../events/job.ts';
import { type Statement, sql } from '../platform/sql.ts';

/** A paused job, and a signal that ends its wait if its payload does. */
export type Candidate = Readonly<{
  job_id: string;
  version: number;
  wait: Wait;
  signal_id: string;
  /** Of the signal. */
  position: string;
}>;

/**
 * The paused jobs that a newer pause or signal than `since` may resume. New signals are taken together by what they are
 * called, as many of one name may come while many jobs wait for it. `offset 0` keeps the planner to the indexes: it
 * does not know that a pass is about few of the many jobs that wait.
 */
const waiting = (since: bigint): Statement => sql`
  with recent as materialized (
    select distinct event, key from dispatch.signals
    where position > ${String(since)} and ${since > 0n}
  ), candidate as (
    select job_id from dispatch.waits where position > ${String(since)}
    union
    select wait.job_id
    from (select distinct event from recent) as recent
    cross join lateral (
      select job_id from dispatch.waits where event = recent.event and key is null offset 0
    ) as wait
    union
    select wait.job_id
    from recent
    cross join lateral (
      select job_id from dispatch.waits where event = recent.event and key = recent.key offset 0
    ) as wait
  ), paused as (
    select job.job_id, job.version, job.wait, job.picky
    from candidate
    cross join lateral (
      select job_id, version, wait,
        (select bool_or(picky) from dispatch.waits where waits.job_id = jobs.job_id) as picky
      from dispatch.jobs
      where job_id = candidate.job_id and wait is not null offset 0
    ) as job
  )`;

/** Those that any payload resumes, each with the oldest signal that does. */
export const matches = (since: bigint, after: string, limit: number): Statement => sql`
  ${waiting(since)}
  select job.job_id, job.version, job.wait, signal.signal_id, signal.position::text as position
  from paused as job
  cross join lateral (
    select oldest.signal_id, oldest.position
    from dispatch.waits as wait
    cross join lateral (
      (select signal_id, position from dispatch.signals as signal
       where wait.key is null and event = wait.event and position > wait.requested_position
         and not exists (select from dispatch.used_signals as used
                         where used.job_id = wait.job_id and used.signal_id = signal.signal_id)
       order by position limit 1)
      union all
      (select signal_id, position from dispatch.signals as signal
       where event = wait.event and key = wait.key and position > wait.requested_position
         and not exists (select from dispatch.used_signals as used
                         where used.job_id = wait.job_id and used.signal_id = signal.signal_id)
       order by position limit 1)
    ) as oldest
    where wait.job_id = job.job_id
    order by oldest.position limit 1
  ) as signal
  where job.job_id > ${after} and not job.picky
  order by job.job_id limit ${limit}`;

/**
 * Those that a certain payload resumes, each with every signal of its names and keys that was not compared yet, the
 * oldest first. After a pause these are all since the job was requested.
 */
export const candidates = (
  since: bigint,
  after: Readonly<{ jobId: string; position: string }>,
  limit: number,
): Statement => sql`
  ${waiting(since)}
  select job.job_id, job.version, job.wait, signal.signal_id, signal.position::text as position
  from paused as job
  cross join lateral (
    select distinct on (signal.position) signal.signal_id, signal.position
    from dispatch.waits as wait
    join dispatch.signals as signal
      on signal.event = wait.event and (wait.key is null or signal.key = wait.key)
      and signal.position > greatest(
        wait.requested_position,
        case when wait.position <= ${String(since)} then ${String(since)}::bigint else 0 end,
        case when job.job_id = ${after.jobId} then ${after.position}::bigint else 0 end)
    where wait.job_id = job.job_id
      and not exists (select from dispatch.used_signals as used
                      where used.job_id = wait.job_id and used.signal_id = signal.signal_id)
    order by signal.position limit ${limit}
  ) as signal
  where job.job_id >= ${after.jobId} and job.picky
  order by job.job_id, signal.position limit ${limit}`;
