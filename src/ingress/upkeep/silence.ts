import type { Queryable } from '../../platform/database.ts';
import { sql } from '../../platform/sql.ts';

export type Silence = Readonly<{
  source: string;
  /** null: nothing has come yet. */
  lastAt: Date | null;
  silentMs: number;
  /**
   * How many deliveries usually come in such a stretch of the week: the median of the four weeks before; null: there are
   * not yet two weeks to go by. It is also the length of the silence in usual gaps.
   */
  usual: number | null;
}>;

/** So many deliveries that did not come are no chance: one in twenty thousand, if they come independently. */
const MANY = 10;

const WEEK_MS = 7 * 24 * 3_600_000;
const WEEKS = 4;
const FEWEST_WEEKS = 2;
/** More is not counted. */
const COUNTED = 1_000;

/** Whether a source is quieter than it used to be at this time of the week. */
export const isSilent = ({ usual }: Silence): boolean => usual !== null && usual >= MANY;

/**
 * How long a source has been silent, and what is usual. Nights and weekends are compared with those of the weeks before,
 * and one odd week, a holiday, does not count. Reads indexes only.
 */
export async function silenceOf(database: Queryable, source: string, now: Date): Promise<Silence> {
  const [row] = await database.query<{ first_at: Date | null; last_at: Date | null }>(sql`
    select
      (select received_at from ingress.deliveries where source = ${source} order by received_at limit 1) as first_at,
      (select received_at from ingress.deliveries where source = ${source} order by received_at desc limit 1) as last_at`);
  const { first_at: first = null, last_at: lastAt = null } = row ?? {};
  if (first === null || lastAt === null) return { source, lastAt: null, silentMs: 0, usual: null };
  const silentMs = Math.max(0, now.getTime() - lastAt.getTime());
  const weeks = Math.min(WEEKS, Math.floor((lastAt.getTime() - first.getTime()) / WEEK_MS));
  if (weeks < FEWEST_WEEKS) return { source, lastAt, silentMs, usual: null };
  const stretchMs = Math.min(silentMs, WEEK_MS);
  const counts = await database.query<{ count: number }>(sql`
    select (
      select count(*)::int from (
        select from ingress.deliveries
        where source = ${source} and received_at > began and received_at <= began + ${stretchMs} * interval '1 millisecond'
        limit ${COUNTED}
      ) as counted
    ) as count
    from generate_series(1, ${weeks}::int) as ago,
      lateral (select ${lastAt}::timestamptz - ago * interval '7 days' as began) as stretch`);
  return { source, lastAt, silentMs, usual: median(counts.map(({ count }) => count)) };
}

/** Of an even number the smaller of the two in the middle: rather no alarm than a wrong one. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}
