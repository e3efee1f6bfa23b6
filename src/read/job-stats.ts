import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { type JobFilter, jobCondition } from './job-filter.ts';
import { badInput } from './page.ts';

export type StatsArguments = Readonly<{
  filter?: JobFilter | null;
  from?: Date | null;
  to?: Date | null;
  buckets?: number | null;
}>;

type Durations = Readonly<{ p50: number | null; p95: number | null; p99: number | null }>;

export type JobStats = Readonly<{
  total: number;
  byStatus: readonly Readonly<{ status: string; count: number }>[];
  series: readonly Readonly<{
    from: Date;
    to: Date;
    requested: number;
    completed: number;
    failed: number;
  }>[];
  queueWait: Durations;
  run: Durations;
}>;

const HOUR_MS = 3_600_000;
const MAX_BUCKETS = 1_000;

/** Counts and durations of the jobs requested in a span of time, by default the last hour. */
export async function jobStats(
  database: Queryable,
  args: StatsArguments,
  now: Date,
): Promise<JobStats> {
  const to = args.to ?? now;
  const from = args.from ?? new Date(to.getTime() - HOUR_MS);
  const buckets = args.buckets ?? 60;
  if (from >= to) throw badInput('`from` must be before `to`');
  if (buckets < 1 || buckets > MAX_BUCKETS) {
    throw badInput(`There can be 1 to ${String(MAX_BUCKETS)} buckets, not ${String(buckets)}`);
  }
  const span = { filter: args.filter, from, to, buckets };
  const [byStatus, durations, series] = await Promise.all([
    countByStatus(database, span),
    measureDurations(database, span),
    countByTime(database, span),
  ]);
  return {
    total: byStatus.reduce((sum, { count }) => sum + count, 0),
    byStatus,
    series,
    ...durations,
  };
}

type Span = Readonly<{
  filter: JobFilter | null | undefined;
  from: Date;
  to: Date;
  buckets: number;
}>;

function countByStatus(
  database: Queryable,
  { filter, from, to }: Span,
): Promise<JobStats['byStatus']> {
  return database.query(sql`
    select j.status, count(*)::int as count from read.jobs j
    where ${jobCondition(filter)} and j.requested_at >= ${from} and j.requested_at < ${to}
    group by j.status order by j.status`);
}

async function measureDurations(
  database: Queryable,
  { filter, from, to }: Span,
): Promise<Pick<JobStats, 'queueWait' | 'run'>> {
  const [row] = await database.query<{ wait: number[] | null; run: number[] | null }>(sql`
    select
      percentile_cont(array[0.5, 0.95, 0.99]) within group
        (order by extract(epoch from j.started_at - j.requested_at)::float8 * 1000)
        filter (where j.started_at is not null) as wait,
      percentile_cont(array[0.5, 0.95, 0.99]) within group
        (order by extract(epoch from j.finished_at - j.started_at)::float8 * 1000)
        filter (where j.finished_at is not null and j.started_at is not null) as run
    from read.jobs j
    where ${jobCondition(filter)} and j.requested_at >= ${from} and j.requested_at < ${to}`);
  return { queueWait: toDurations(row?.wait), run: toDurations(row?.run) };
}

const toDurations = (values: readonly number[] | null | undefined): Durations => ({
  p50: values?.[0] ?? null,
  p95: values?.[1] ?? null,
  p99: values?.[2] ?? null,
});

function countByTime(database: Queryable, span: Span): Promise<JobStats['series']> {
  const { filter, from, to, buckets } = span;
  const condition = jobCondition(filter);
  return database.query(sql`
    with bounds as (
      select ${from}::timestamptz as first, (${to}::timestamptz - ${from}::timestamptz) / ${buckets}::int as width
    ), moments as (
      select j.requested_at as at, 'requested' as what from read.jobs j
      where ${condition} and j.requested_at >= ${from} and j.requested_at < ${to}
      union all
      select j.finished_at, j.status from read.jobs j
      where ${condition} and j.finished_at >= ${from} and j.finished_at < ${to}
        and j.status in ('COMPLETED', 'FAILED')
    ), counted as (
      select floor(extract(epoch from m.at - b.first) / extract(epoch from b.width))::int as bucket,
        count(*) filter (where m.what = 'requested')::int as requested,
        count(*) filter (where m.what = 'COMPLETED')::int as completed,
        count(*) filter (where m.what = 'FAILED')::int as failed
      from moments m, bounds b group by 1
    )
    select b.first + b.width * i as "from", b.first + b.width * (i + 1) as "to",
      coalesce(c.requested, 0) as requested, coalesce(c.completed, 0) as completed,
      coalesce(c.failed, 0) as failed
    from bounds b cross join generate_series(0, ${buckets}::int - 1) as i
    left join counted c on c.bucket = i order by i`);
}
