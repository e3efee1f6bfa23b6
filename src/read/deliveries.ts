import { GraphQLError } from 'graphql';

import type { Trigger } from '../events/trigger.ts';
import type { Queryable } from '../platform/database.ts';
import { uuidIn } from '../platform/ids.ts';
import { allOf, type Statement, sql } from '../platform/sql.ts';
import { fromEnum, toApiTrigger, toEnum } from './job.ts';
import { searchCondition } from './delivery-search.ts';
import { when } from './job-filter.ts';
import { type Connection, connection, encodeCursor, type PageArguments, readPage } from './page.ts';

export type DeliveryFilter = Readonly<{
  source?: readonly string[] | null;
  provider?: readonly string[] | null;
  event?: readonly string[] | null;
  outcome?: readonly string[] | null;
  repository?: string | null;
  receivedAfter?: Date | null;
  receivedBefore?: Date | null;
  search?: string | null;
}>;

type DeliveryRow = Readonly<{
  id: string;
  delivery_id: string;
  source: string;
  provider: Trigger['provider'];
  event: string;
  action: string | null;
  received_at: Date;
  sort_value: string;
  outcome: string;
  reason: string | null;
  triggers: readonly Trigger[];
  jobs: readonly Readonly<{ id: string; workflow: string }>[];
  headers: Readonly<Record<string, string>>;
  body_removed_at: Date | null;
  latency_ms: number | null;
}>;

export type ApiDelivery = ReturnType<typeof toApiDelivery>;

// The answer's shape is the schema's; spelling it out a second time would only be able to be wrong.
// oxlint-disable-next-line typescript/explicit-module-boundary-types
export function toApiDelivery(row: DeliveryRow) {
  return {
    __typename: 'Delivery' as const,
    id: row.id,
    deliveryId: row.delivery_id,
    source: row.source,
    provider: toEnum(row.provider),
    event: row.event,
    action: row.action,
    receivedAt: row.received_at,
    outcome: row.outcome.toUpperCase(),
    reason: row.reason,
    triggers: row.triggers.map(toApiTrigger),
    jobIds: row.jobs.map(({ id }) => id),
    headers: row.headers,
    bodyRemovedAt: row.body_removed_at,
    latencyMs: row.latency_ms,
  };
}

const COLUMNS = sql`d.id, d.delivery_id, d.source, d.provider, d.event, d.action, d.received_at,
  d.received_at::text as sort_value, d.outcome, d.reason, d.triggers, d.jobs, d.headers,
  d.body_removed_at, d.latency_ms`;

/** By its own id, or by the provider's id of the delivery. */
export async function findDelivery(database: Queryable, id: string): Promise<ApiDelivery | null> {
  const rows = await database.query<DeliveryRow>(sql`
    select ${COLUMNS} from ingress.deliveries d
    where d.id = any (${uuidIn(id)}::uuid[]) or d.delivery_id = ${id}
    order by (d.id = any (${uuidIn(id)}::uuid[])) desc, d.received_at desc limit 1`);
  return rows[0] === undefined ? null : toApiDelivery(rows[0]);
}

/** The text as it was received; bytes that are not UTF-8 are shown as replacement characters. */
export async function deliveryBody(
  database: Queryable,
  { id, bodyRemovedAt }: Pick<ApiDelivery, 'id' | 'bodyRemovedAt'>,
): Promise<string> {
  if (bodyRemovedAt !== null) throw bodyGone(bodyRemovedAt);
  const [row] = await database.query<{ body: Buffer | null; body_removed_at: Date | null }>(
    sql`select d.body, d.body_removed_at from ingress.deliveries d where d.id = ${id}`,
  );
  if (!row?.body) throw bodyGone(row?.body_removed_at ?? new Date());
  return row.body.toString('utf8');
}

function bodyGone(at: Date): GraphQLError {
  return new GraphQLError(
    `Retention removed the body at ${at.toISOString()}: the facts, the headers and the jobs are kept. Ask for bodyRemovedAt before body`,
    { extensions: { code: 'BODY_REMOVED', bodyRemovedAt: at.toISOString() } },
  );
}

export async function listDeliveries(
  database: Queryable,
  args: PageArguments & Readonly<{ filter?: DeliveryFilter | null }>,
): Promise<Connection<ApiDelivery>> {
  const page = readPage(args, 'deliveries', 20);
  const after =
    page.cursor === null
      ? sql`true`
      : sql`(d.received_at, d.id) < (${page.cursor.value}::timestamptz, ${page.cursor.id}::uuid)`;
  const rows = await database.query<DeliveryRow>(sql`
    select ${COLUMNS} from ingress.deliveries d
    where ${await deliveryCondition(database, args.filter)} and ${after}
    order by d.received_at desc, d.id desc limit ${page.size + 1}`);
  return connection(rows, page, {
    cursorOf: ({ sort_value, id }) => encodeCursor('deliveries', { value: sort_value, id }),
    nodeOf: toApiDelivery,
  });
}

export async function countDeliveries(
  database: Queryable,
  filter: DeliveryFilter | null | undefined,
): Promise<number> {
  const rows = await database.query<{ count: number }>(sql`
    select count(*)::int as count from
      (select 1 from ingress.deliveries d where ${await deliveryCondition(database, filter)} limit 10001) as counted`);
  return rows[0]?.count ?? 0;
}

/** The condition on `ingress.deliveries`, whose alias is `d`. */
export async function deliveryCondition(
  database: Queryable,
  filter: DeliveryFilter | null | undefined,
): Promise<Statement> {
  const f = filter ?? {};
  return allOf([
    ...when(f.source, (names) => sql`d.source = any(${names}::text[])`),
    ...when(f.provider, (names) => sql`d.provider = any(${names.map(fromEnum)}::text[])`),
    ...when(f.event, (events) => sql`d.event = any(${events}::text[])`),
    ...when(f.outcome, outcomeIn),
    ...when(f.repository, (name) => sql`d.repository = ${name}`),
    ...when(f.receivedAfter, (at) => sql`d.received_at > ${at}`),
    ...when(f.receivedBefore, (at) => sql`d.received_at < ${at}`),
    ...(f.search ? [await searchCondition(database, f.search)] : []),
  ]);
}

/** Most are accepted: those that are not have an index of their own. */
function outcomeIn(names: readonly string[]): Statement {
  const outcomes = names.map(fromEnum);
  const others = outcomes.includes('accepted') ? sql`true` : sql`d.outcome <> 'accepted'`;
  return sql`d.outcome = any(${outcomes}::text[]) and ${others}`;
}
