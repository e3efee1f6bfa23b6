import type { Queryable } from '../platform/database.ts';
import { type Statement, sql } from '../platform/sql.ts';

export type HintableJob = Readonly<{
  job_id: string;
  workflow: string;
  phase: 'requested' | 'resumed' | 'retrying';
  version: number;
  position: string;
  priority: number;
}>;

/** What is out, and what comes next. */
export type NextHints = Readonly<{
  /** Jobs that were hinted and not taken. */
  hinted: number;
  /** How many jobs all workers together run at a time. */
  places: number;
  /** How long ago the oldest of the outstanding hints was published; null: none is out. */
  oldestMs: number | null;
  jobs: readonly HintableJob[];
}>;

/** A worker may take it, and it has its turn in its line. */
const READY = sql`takeable and not blocked and superseded_by is null`;

/**
 * The jobs to hint next, so that at most `limit` hints are out. This is the one place that says in which order jobs
 * come: by priority, then the oldest first. Fairness between repositories belongs here.
 */
export async function readNextHints(database: Queryable, limit: number): Promise<NextHints> {
  const rows = await database.query<
    { hinted: number; places: number; oldest_ms: number | null } & (HintableJob | { job_id: null })
  >(sql`
    with outstanding as materialized (
      select
        (select count(*)::integer from dispatch.jobs where takeable and hinted_at is not null) as hinted,
        (select coalesce(sum(concurrency), 0)::integer from dispatch.workers) as places,
        (select extract(epoch from clock_timestamp() - min(hinted_at))::float8 * 1000
         from dispatch.jobs where ${READY} and hinted_at is not null) as oldest_ms
    )
    select outstanding.*, next.*
    from outstanding
    left join (
      select job_id, workflow, phase, version, position::text as position, priority, line_position
      from dispatch.jobs
      where ${READY} and hinted_at is null
      order by priority desc, line_position
      limit (select greatest(${limit} - hinted, 0) from outstanding)
    ) as next on true
    order by next.priority desc, next.line_position`);
  const { hinted = 0, places = 0, oldest_ms: oldestMs = null } = rows[0] ?? {};
  const jobs = rows.filter((row): row is typeof row & HintableJob => row.job_id !== null);
  return { hinted, places, oldestMs, jobs };
}

/** Hinted jobs that nobody took for so long. */
export const overdueJobs = (overdueMs: number, limit: number): Statement => sql`
  select job_id, workflow, phase, version, position::text as position, priority
  from dispatch.jobs
  where ${READY} and hinted_at <= clock_timestamp() - make_interval(secs => ${overdueMs / 1_000})
  order by hinted_at
  limit ${limit}`;

/** Notes that the messages about the jobs are out, unless a job has moved on since. */
export function markHinted(jobs: readonly Pick<HintableJob, 'job_id' | 'version'>[]): Statement {
  const rows = jobs.map(({ job_id, version }) => ({ job_id, version }));
  return sql`
    update dispatch.jobs as job set hinted_at = clock_timestamp()
    from json_to_recordset(${JSON.stringify(rows)}) as hinted (job_id text, version integer)
    where job.job_id = hinted.job_id and job.version = hinted.version`;
}
