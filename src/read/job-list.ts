import type { JobView } from '../events/job-view.ts';
import type { Queryable } from '../platform/database.ts';
import { type Statement, sql } from '../platform/sql.ts';
import { type ApiJob, toApiJob } from './job.ts';
import { type JobFilter, jobCondition } from './job-filter.ts';
import {
  badInput,
  type Connection,
  connection,
  encodeCursor,
  type PageArguments,
  readPage,
} from './page.ts';

/** Each order has an index in `read.jobs`. */
const ORDERS = {
  REQUESTED_AT_DESC: { column: sql`j.requested_at`, type: 'timestamptz', descending: true },
  REQUESTED_AT_ASC: { column: sql`j.requested_at`, type: 'timestamptz', descending: false },
  UPDATED_AT_DESC: { column: sql`j.updated_at`, type: 'timestamptz', descending: true },
  DURATION_DESC: { column: sql`coalesce(j.duration_ms, -1)`, type: 'bigint', descending: true },
} as const;

export type JobOrder = keyof typeof ORDERS;

type JobListArguments = PageArguments & Readonly<{ filter?: JobFilter | null; orderBy: JobOrder }>;

type JobListRow = Readonly<{ job_id: string; sort_value: string; view: JobView }>;

/** A page of jobs, by keyset: what is added or changed meanwhile never shifts the pages. */
export async function listJobs(
  database: Queryable,
  args: JobListArguments,
): Promise<Connection<ApiJob>> {
  const order = ORDERS[args.orderBy];
  const page = readPage(args, args.orderBy, 20);
  const descending = order.descending !== page.backwards;
  const after =
    page.cursor === null
      ? sql`true`
      : keyset(order, {
          descending,
          value: cursorValue(order.type, page.cursor.value),
          id: page.cursor.id,
        });
  const direction = descending ? sql`desc` : sql`asc`;
  const rows = await database.query<JobListRow>(sql`
    select j.job_id, ${order.column}::text as sort_value, j.view
    from read.jobs j
    where ${jobCondition(args.filter)} and ${after}
    order by ${order.column} ${direction}, j.job_id ${direction}
    limit ${page.size + 1}`);
  return connection(rows, page, {
    cursorOf: (row) => encodeCursor(args.orderBy, { value: row.sort_value, id: row.job_id }),
    nodeOf: ({ view }) => toApiJob(view),
  });
}

function keyset(
  { column, type }: (typeof ORDERS)[JobOrder],
  { descending, value, id }: Readonly<{ descending: boolean; value: string; id: string }>,
): Statement {
  const bound = type === 'bigint' ? sql`${value}::bigint` : sql`${value}::timestamptz`;
  return descending
    ? sql`(${column}, j.job_id) < (${bound}, ${id})`
    : sql`(${column}, j.job_id) > (${bound}, ${id})`;
}

function cursorValue(type: 'timestamptz' | 'bigint', value: string): string {
  const valid = type === 'bigint' ? /^-?\d{1,18}$/.test(value) : !Number.isNaN(Date.parse(value));
  if (!valid)
    throw badInput('The cursor is not one of this list in this order: take it from the last page');
  return value;
}

/** Above this a count is not worth its cost: it is given as one more than this. */
const COUNT_LIMIT = 10_000;

export async function countJobs(
  database: Queryable,
  filter: JobFilter | null | undefined,
): Promise<number> {
  const rows = await database.query<{ count: number }>(sql`
    select count(*)::int as count
    from (select 1 from read.jobs j where ${jobCondition(filter)} limit ${COUNT_LIMIT + 1}) as counted`);
  return rows[0]?.count ?? 0;
}

/** The ids of the jobs that a filter lets through, oldest first. */
export async function jobIds(
  database: Queryable,
  filter: JobFilter,
  { statuses, limit }: Readonly<{ statuses: readonly string[]; limit: number }>,
): Promise<readonly string[]> {
  const rows = await database.query<{ job_id: string }>(sql`
    select j.job_id from read.jobs j
    where ${jobCondition(filter)} and j.status = any(${statuses}::text[])
    order by j.requested_at, j.job_id limit ${limit}`);
  return rows.map(({ job_id }) => job_id);
}
