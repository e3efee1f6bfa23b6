import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';

/** The open jobs of one workflow and concurrency key, of which one is at work at a time. */
export type Line = Readonly<{ workflow: string; key: string; strategy: 'supersede' | 'queue' }>;

/**
 * Says anew who stands where in the lines that a job came into or left. `queue`: the oldest is free to go, the others
 * are blocked, as they were from their first moment. `supersede`: each learns of the newest that came after it.
 */
export async function straightenLines(
  transaction: Queryable,
  lines: readonly Line[],
): Promise<void> {
  if (lines.length === 0) return;
  await freeFirst(transaction, lines);
  await nameNewest(transaction, lines);
}

// What the lines are is worked out first, by their indexes: joined the other way round, it is worked out per open job.

async function freeFirst(transaction: Queryable, lines: readonly Line[]): Promise<void> {
  await transaction.query(sql`
    with first as materialized (
      select first.job_id
      from (
        select distinct workflow, key
        from json_to_recordset(${JSON.stringify(lines)}) as line (workflow text, key text)
      ) as line
      cross join lateral (
        select job_id from dispatch.jobs
        where workflow = line.workflow and concurrency_key = line.key
        order by line_position limit 1
      ) as first
    )
    update dispatch.jobs as job set blocked = false
    from first
    where job.job_id = first.job_id and job.blocked`);
}

async function nameNewest(transaction: Queryable, lines: readonly Line[]): Promise<void> {
  await transaction.query(sql`
    with line as materialized (
      select line.workflow, line.key, newest.job_id as newest, newest.requested_position
      from (
        select workflow, key, bool_or(strategy = 'supersede') as superseding
        from json_to_recordset(${JSON.stringify(lines)})
          as line (workflow text, key text, strategy text)
        group by workflow, key
      ) as line
      left join lateral (
        select job_id, requested_position from dispatch.jobs
        where workflow = line.workflow and concurrency_key = line.key
          and concurrency_strategy = 'supersede'
        order by requested_position desc limit 1
      ) as newest on true
      -- A line that only queues is not read to its end.
      where superseding or newest.job_id is not null
    )
    update dispatch.jobs as older
    set superseded_by =
      case when older.requested_position < line.requested_position then line.newest end
    from line
    where older.workflow = line.workflow and older.concurrency_key = line.key
      and older.superseded_by is distinct from
        case when older.requested_position < line.requested_position then line.newest end`);
}
