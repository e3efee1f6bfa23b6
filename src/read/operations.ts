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
    with log as (select coalesce(max(position), 0) as head from log.events)
    select p.name, p.version, p.status, p.position::text as position, log.head::text as head,
      greatest(log.head - p.position, 0)::int as lag,
      coalesce(extract(epoch from clock_timestamp() -
        (select e.recorded_at from log.events e where e.position = p.position + 1)), 0)::float8 as "lagSeconds",
      p.events_per_second as "eventsPerSecond", p.error, p.updated_at as "updatedAt"
    from read.projections p cross join log order by p.name, p.version`);
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

const POLL_MS = 10;
const WAIT_MS = 2_000;

/** Resolves to whether the live projection has seen `position`, after at most two seconds. */
export async function hasSeen(
  database: Queryable,
  { projection, position }: Readonly<{ projection: string; position: bigint }>,
  pause: (ms: number) => Promise<void>,
): Promise<boolean> {
  for (let waited = 0; ; waited += POLL_MS) {
    const rows = await database.query(sql`
      select 1 from read.projections
      where name = ${projection} and status in ('LIVE', 'PAUSED') and position >= ${String(position)}::bigint`);
    if (rows.length > 0) return true;
    if (waited >= WAIT_MS) return false;
    await pause(POLL_MS);
  }
}
