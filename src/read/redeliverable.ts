import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { type DeliveryFilter, deliveryCondition } from './deliveries.ts';
import { decodeCursor, encodeCursor } from './page.ts';

export type RedeliverableQuery = Readonly<{
  filter: DeliveryFilter;
  /** Only those with a job that FAILED, and those that were ignored or unmappable. */
  onlyFailed: boolean;
  size: number;
  after: string | null;
}>;

export type RedeliverablePage = Readonly<{
  ids: readonly string[];
  /** Where the next page begins; null: there is none. */
  endCursor: string | null;
}>;

const LIST = 'redeliverable';

/** One page of the deliveries to take again, the oldest first, so that newer pushes supersede older ones as they did. */
export async function redeliverable(
  database: Queryable,
  { filter, onlyFailed, size, after }: RedeliverableQuery,
): Promise<RedeliverablePage> {
  const cursor = after === null ? null : decodeCursor(after, LIST);
  const place =
    cursor === null
      ? sql`true`
      : sql`(d.received_at, d.id) > (${cursor.value}::timestamptz, ${cursor.id}::uuid)`;
  const rows = await database.query<{ id: string; received: string }>(sql`
    select d.id, d.received_at::text as received from ingress.deliveries d
    where ${await deliveryCondition(database, filter)} and ${onlyFailed ? FAILED : sql`true`} and ${place}
    order by d.received_at, d.id limit ${size + 1}`);
  const ids = rows.slice(0, size).map(({ id }) => id);
  const last = rows.length > size ? rows[size - 1] : undefined;
  return {
    ids,
    endCursor: last ? encodeCursor(LIST, { value: last.received, id: last.id }) : null,
  };
}

/** All of it, page after page. */
export async function* redeliverablePages(
  database: Queryable,
  query: Omit<RedeliverableQuery, 'after'>,
): AsyncGenerator<readonly string[]> {
  let after: string | null = null;
  do {
    const page: RedeliverablePage = await redeliverable(database, { ...query, after });
    yield page.ids;
    after = page.endCursor;
  } while (after !== null);
}

const FAILED = sql`(d.outcome <> 'accepted' or exists (
  select from json_array_elements(d.jobs) as linked
  join read.jobs as j on j.job_id = linked ->> 'id'
  where j.status = 'FAILED'))`;
