import type { Queryable } from '../platform/database.ts';
import { type Statement, sql } from '../platform/sql.ts';
import type { DispatchCounts } from './dispatch-counts.ts';
import { IDLE_MS, type Reaction, type Wake } from './reaction.ts';

/**
 * Lets jobs start as their rate allows: at any moment, the starts within the last period and the jobs that may start
 * and have not yet are never more than the limit. The starts are from the log, so neither a restart nor a reset gives
 * a second share. Time is the database's clock, the one that dates what is stored.
 */
export class RateLimits implements Reaction {
  readonly name = 'rate limits';

  constructor(
    private readonly parts: Readonly<{
      database: Queryable;
      counts: DispatchCounts;
      hintsWake: Pick<Wake, 'announce'>;
    }>,
  ) {}

  async runOnce(): Promise<number> {
    const { database, counts, hintsWake } = this.parts;
    await database.query(FORGET);
    const granted = await database.query(GRANT);
    counts.granted += granted.length;
    if (granted.length > 0) hintsWake.announce();
    const [next] = await database.query<{ due_ms: number | null }>(NEXT);
    const dueMs = next?.due_ms ?? null;
    return dueMs === null ? IDLE_MS : Math.max(Math.ceil(dueMs), 1);
  }
}

const FORGET: Statement = sql`
  delete from dispatch.rate_starts where until <= clock_timestamp()`;

/** Waits for nothing but its rate. */
const WAITING = sql`rate = 'waiting' and hold_until is null and not blocked and superseded_by is null`;

/** Each workflow and key that jobs wait for: one step along the index, however many wait. */
const LINES = sql`
  line (workflow, key) as (
    (select workflow, rate_key from dispatch.jobs where ${WAITING}
     order by workflow, rate_key limit 1)
    union all
    select next.workflow, next.rate_key
    from line
    cross join lateral (
      select workflow, rate_key from dispatch.jobs
      where ${WAITING} and (workflow, rate_key) > (line.workflow, line.key)
      order by workflow, rate_key limit 1
    ) as next
  )`;

const GRANT: Statement = sql`
  with recursive ${LINES}, room as materialized (
    select line.workflow, line.key, first.rate_limit - granted.count - started.count as room
    from line
    cross join lateral (
      select rate_limit, rate_per_ms from dispatch.jobs
      where ${WAITING} and workflow = line.workflow and rate_key = line.key
      order by priority desc, line_position limit 1
    ) as first
    cross join lateral (
      select count(*) from dispatch.jobs
      where rate = 'granted' and workflow = line.workflow and rate_key = line.key
    ) as granted
    cross join lateral (
      select count(*) from dispatch.rate_starts
      where workflow = line.workflow and key = line.key
        and at > clock_timestamp() - first.rate_per_ms * interval '1 ms'
    ) as started
  ), chosen as materialized (
    select chosen.job_id
    from room
    cross join lateral (
      select job_id from dispatch.jobs
      where ${WAITING} and workflow = room.workflow and rate_key = room.key
      order by priority desc, line_position limit greatest(room.room, 0)
    ) as chosen
  )
  update dispatch.jobs as job set rate = 'granted', takeable = true
  from chosen
  where job.job_id = chosen.job_id and job.rate = 'waiting'
  returning 1`;

/** When the oldest of the starts that keep a job waiting is over. */
const NEXT: Statement = sql`
  with recursive ${LINES}
  select extract(epoch from min(first.until) - clock_timestamp())::float8 * 1000 as due_ms
  from line
  cross join lateral (
    select until from dispatch.rate_starts
    where workflow = line.workflow and key = line.key
    order by at limit 1
  ) as first`;
