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

async function freeFirst(transaction: Queryable, lines: readonly Line[]): Promise<void> {
  await transaction.query(sql`
    update dispatch.jobs as job
    set blocked = false
    from (
      select distinct workflow, key
      from json_to_recordset(${JSON.stringify(lines)}) as line (workflow text, key text)
    ) as line
    cross join lateral (
      select job_id from dispatch.jobs
      where workflow = line.workflow and concurrency_key = line.key
      order by line_position limit 1
    ) as first
    where job.job_id = first.job_id and job.blocked`);
}

async function nameNewest(transaction: Queryable, lines: readonly Line[]): Promise<void> {
  await transaction.query(sql`
    update dispatch.jobs as job
    set superseded_by = line.newest
    from (
      select older.job_id,
             case when older.requested_position < newest.requested_position then newest.job_id end
               as newest
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
      join dispatch.jobs as older
        on older.workflow = line.workflow and older.concurrency_key = line.key
      -- A line that only queues is not read to its end.
      where superseding or newest.job_id is not null
    ) as line
    where job.job_id = line.job_id and job.superseded_by is distinct from line.newest`);
}
