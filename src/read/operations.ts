import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';

export type ApiProjection = Readonly<{
  name: string;
  version: number;
  status: string;
  position: string;
  head: string;
  lag: number;
  lagSeconds: number;
  eventsPerSecond: number | null;
  error: string | null;
  updatedAt: Date;
}>;

/** Every generation of every projection, with how far behind the log it is. */
export function listProjections(database: Queryable): Promise<readonly ApiProjection[]> {
  return database.query(sql`
    select name, version, status, position::text as position, head::text as head, lag::int as lag,
      lag_seconds::float8 as "lagSeconds", events_per_second as "eventsPerSecond", error,
      updated_at as "updatedAt"
    from read.projections order by name, generation desc`);
}

export type ApiWorker = Readonly<{
  id: string;
  host: string;
  startedAt: Date;
  lastSeenAt: Date;
  running: number;
  concurrency: number;
  draining: boolean;
  version: string | null;
}>;

/** The workers that have a heartbeat row: running, or silent and not yet given up. */
export function listWorkers(database: Queryable): Promise<readonly ApiWorker[]> {
  return database.query(sql`
    select id, host, started_at as "startedAt", last_seen_at as "lastSeenAt", running, concurrency,
      draining, version
    from dispatch.workers order by started_at, id`);
}
