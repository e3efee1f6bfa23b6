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
  /** Jobs that were hinted and not taken, by workflow. */
  hinted: Readonly<Record<string, number>>;
  /** How many jobs all workers together run at a time. */
  places: number;
  /** How long ago the oldest of the outstanding hints was published; null: none is out. */
  oldestMs: number | null;
  jobs: readonly (HintableJob & InTurn)[];
}>;

type InTurn = Readonly<{
  repository: string;
  /** Its repository was cut off although there was room: look again at once. */
  more: boolean;
}>;

/**
 * Whose turn it was last, for each workflow and priority. Only this process remembers it: after a restart the turns
 * begin anew, and nobody loses more than one.
 */
export class Turns {
  private readonly last = new Map<string, Cursor>();

  /** Notes that the jobs had their turn, in this order. */
  note(jobs: readonly Cursor[]): void {
    for (const { workflow, priority, repository } of jobs) {
      this.last.set(`${String(priority)} ${workflow}`, { workflow, priority, repository });
    }
  }

  cursors(): readonly Cursor[] {
    return [...this.last.values()];
  }
}

type Cursor = Readonly<{ workflow: string; priority: number; repository: string }>;

/** A worker may take it, and it has its turn in its line. */
const READY = sql`takeable and not blocked and superseded_by is null`;

/**
 * The jobs to hint next, so that at most `limit` hints of each workflow are out. Each workflow has its own room: jobs
 * that no worker knows do not stand in the way of the others. The function says in which order jobs come: by priority,
 * then one of each workflow and of each repository in turn, and of
 * each repository the oldest first.
 */
export async function readNextHints(
  database: Queryable,
  limit: number,
  turns: Turns,
): Promise<NextHints> {
  const rows = await database.query<NextRow>(sql`
    with outstanding as materialized (select * from dispatch.outstanding())
    select
      (select json_object_agg(workflow, hinted) from outstanding) as hinted,
      (select coalesce(sum(concurrency), 0)::integer from dispatch.workers) as places,
      (select extract(epoch from clock_timestamp() - min(oldest))::float8 * 1000 from outstanding)
        as oldest_ms,
      next.job_id, next.workflow, next.phase, next.version, next.position::text as position,
      next.priority, next.repository, next.more
    from (values (1)) as always
    left join dispatch.next_hints(${limit}, ${JSON.stringify(turns.cursors())})
      with ordinality as next (
        job_id, workflow, phase, version, "position", priority, repository, more, place) on true
    order by next.priority desc,
      row_number() over (partition by next.workflow order by next.place), next.workflow`);
  const { hinted = null, places = 0, oldest_ms: oldestMs = null } = rows[0] ?? {};
  const jobs = rows.filter((row): row is Extract<NextRow, InTurn> => row.job_id !== null);
  return { hinted: hinted ?? {}, places, oldestMs, jobs };
}

type NextRow = Readonly<{
  hinted: Readonly<Record<string, number>> | null;
  places: number;
  oldest_ms: number | null;
}> &
  ((HintableJob & InTurn) | Readonly<{ job_id: null }>);

/** Hinted jobs that nobody took for so long. */
export const overdueJobs = (overdueMs: number, limit: number): Statement => sql`
  select job_id, workflow, phase, version, position::text as position, priority
  from dispatch.jobs
  where ${READY} and hinted_at <= clock_timestamp() - make_interval(secs => ${overdueMs / 1_000})
  order by hinted_at
  limit ${limit}`;

/**
 * Notes that the messages about the jobs are out, unless a job has moved on since. One that the follower holds just now
 * is left out, as each would wait for the other's rows: at worst it is hinted twice.
 */
export function markHinted(jobs: readonly Pick<HintableJob, 'job_id' | 'version'>[]): Statement {
  const rows = jobs.map(({ job_id, version }) => ({ job_id, version }));
  return sql`
    with hinted as (
      select job.job_id
      from json_to_recordset(${JSON.stringify(rows)}) as hinted (job_id text, version integer)
      join dispatch.jobs as job
        on job.job_id = hinted.job_id and job.version = hinted.version
      for no key update of job skip locked
    )
    update dispatch.jobs as job set hinted_at = clock_timestamp()
    from hinted where job.job_id = hinted.job_id`;
}
