import type { Event, Metadata, Recorded } from '../events/event.ts';
import { type Statement, sql } from '../platform/sql.ts';
import type { LogRange, StreamRange } from './event-store.ts';
import type { Upcasters } from './upcast.ts';

export type StoredRow = {
  position: string;
  stream_id: string;
  version: number;
  event_id: string;
  type: string;
  schema_version: number;
  occurred_at: Date;
  recorded_at: Date;
  data: unknown;
  metadata: Metadata;
};

const LAST_VERSION = 2 ** 31 - 1;
const LAST_POSITION = 2n ** 63n - 1n;

/** `present`: what has not been archived, which is mostly all that is wanted. `all`: the archive too. */
export type Extent = 'present' | 'all';

const TABLE: Readonly<Record<Extent, Statement>> = {
  present: sql`log.events`,
  all: sql`log.all_events`,
};

export function streamStatement(streamId: string, range: StreamRange, extent: Extent): Statement {
  const { from = 1, to = LAST_VERSION, limit = null, backwards = false } = range;
  return backwards
    ? sql`
      select * from ${TABLE[extent]}
      where stream_id = ${streamId} and version between ${from} and ${to}
      order by version desc limit ${limit}`
    : sql`
      select * from ${TABLE[extent]}
      where stream_id = ${streamId} and version between ${from} and ${to}
      order by version limit ${limit}`;
}

/**
 * Whether rows of the present are all that the range holds. The archive takes streams from their beginning, and never
 * the last event of one; so what is missing is missing at the lower end.
 */
export function isWholeStream(rows: readonly StoredRow[], range: StreamRange): boolean {
  const { from = 1, limit, backwards = false } = range;
  const lowest = backwards ? rows.at(-1) : rows[0];
  return lowest?.version === from || (backwards && rows.length > 0 && rows.length === limit);
}

/** The same for a range of the log: positions are dense, and the last of all is never archived. */
export function isWholeLog(rows: readonly StoredRow[], { after, upTo, limit }: LogRange): boolean {
  const last = BigInt(rows.at(-1)?.position ?? after);
  if (last - after !== BigInt(rows.length)) return false;
  return upTo === undefined || last >= upTo || rows.length === limit;
}

export const archivedUpToStatement = sql`
  select coalesce(max(position), 0)::text as position from archive.events`;

export function logStatement(
  { after, upTo = LAST_POSITION, limit, types }: LogRange,
  extent: Extent,
): Statement {
  return types === undefined
    ? sql`
      select * from ${TABLE[extent]}
      where position > ${String(after)} and position <= ${String(upTo)}
      order by position limit ${limit}`
    : sql`
      select * from ${TABLE[extent]}
      where position > ${String(after)} and position <= ${String(upTo)} and type = any (${types})
      order by position limit ${limit}`;
}

/** The next events, each with the bytes that its data takes in the table. */
export const sizedLogStatement = (after: bigint, limit: number): Statement => sql`
  select *, pg_column_size(data) as size from log.events
  where position > ${String(after)} order by position limit ${limit}`;

export const headStatement = sql`select coalesce(max(position), 0)::text as head from log.events`;

export function recorded<E extends Event>(row: StoredRow, upcasters: Upcasters): Recorded<E> {
  const event: Recorded = {
    type: row.type,
    at: row.occurred_at,
    data: upcasters.upcast(row.type, row.schema_version, row.data) as object,
    id: row.event_id,
    streamId: row.stream_id,
    version: row.version,
    position: BigInt(row.position),
    metadata: row.metadata,
    recordedAt: row.recorded_at,
  };
  // Whoever names the type of a stream's events knows what it holds: the log does not.
  return event as Recorded<E>;
}
