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

export function streamStatement(streamId: string, range: StreamRange): Statement {
  const { from = 1, to = LAST_VERSION, limit = null, backwards = false } = range;
  return backwards
    ? sql`
      select * from log.events
      where stream_id = ${streamId} and version between ${from} and ${to}
      order by version desc limit ${limit}`
    : sql`
      select * from log.events
      where stream_id = ${streamId} and version between ${from} and ${to}
      order by version limit ${limit}`;
}

export function logStatement({ after, upTo = LAST_POSITION, limit, types }: LogRange): Statement {
  return types === undefined
    ? sql`
      select * from log.events
      where position > ${String(after)} and position <= ${String(upTo)}
      order by position limit ${limit}`
    : sql`
      select * from log.events
      where position > ${String(after)} and position <= ${String(upTo)} and type = any (${types})
      order by position limit ${limit}`;
}

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
