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
  /** Events that it cannot take, or passes over; none of a generation that is not live. */
  poison: readonly ApiPoisonedEvent[];
}>;

export type ApiPoisonedEvent = Readonly<{
  position: string;
  jobId: string;
  type: string;
  state: string;
  error: string;
  tries: number;
  since: Date;
}>;

/** Every generation of every projection, with how far behind the log it is. */
export async function listProjections(database: Queryable): Promise<readonly ApiProjection[]> {
  const projections = await database.query<Omit<ApiProjection, 'poison'> & GenerationKey>(sql`
    select name, generation, version, status, position::text as position, head::text as head, lag::int as lag,
      lag_seconds::float8 as "lagSeconds", events_per_second as "eventsPerSecond", error,
      updated_at as "updatedAt"
    from read.projections order by name, generation desc`);
  const poison = await database.query<ApiPoisonedEvent & GenerationKey>(sql`
    select name, generation, position::text as position, stream_id as "jobId", type, state, error, tries, since
    from read.poison order by read.poison.position`);
  return projections.map((each) => withPoison(each, poison));
}

type GenerationKey = Readonly<{ name: string; generation: number }>;

const withPoison = <T extends GenerationKey>(
  projection: T,
  poison: readonly (ApiPoisonedEvent & GenerationKey)[],
): T & Pick<ApiProjection, 'poison'> => ({
  ...projection,
  poison: poison.filter(
    ({ name, generation }) => name === projection.name && generation === projection.generation,
  ),
});

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
