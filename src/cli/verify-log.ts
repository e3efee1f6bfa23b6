import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';

export type LogReport = Readonly<{ events: number; streams: number; faults: readonly string[] }>;

/** Reads the whole log and says what is wrong with it, if anything. */
export async function verifyLog(database: Queryable): Promise<LogReport> {
  const [counts] = await database.query<{ events: number; streams: number; last: number }>(sql`
    select count(*)::float8 as events, count(distinct stream_id)::float8 as streams,
      coalesce(max(position), 0)::float8 as last
    from log.all_events`);
  const { events = 0, streams = 0, last = 0 } = counts ?? {};
  const broken = await database.query<{ stream_id: string; events: number; last: number }>(sql`
    select stream_id, count(*)::int as events, max(version) as last from log.all_events
    group by stream_id having count(*) <> max(version) or min(version) <> 1 limit 20`);
  const disordered = await database.query<{ stream_id: string; version: number }>(sql`
    select stream_id, version from (
      select stream_id, version, position,
        lag(position) over (partition by stream_id order by version) as before
      from log.all_events
    ) as ordered where before >= position limit 20`);
  const repeated = await database.query<{ event_id: string }>(sql`
    select event_id from log.all_events group by event_id having count(*) > 1 limit 20`);
  const altered = await database.query<{ job_id: string }>(sql`
    select job_id from archive.jobs where sha256 is distinct from archive.digest(job_id) limit 20`);
  return {
    events,
    streams,
    faults: [
      ...(events === last
        ? []
        : [`the last position is ${String(last)}, but there are ${String(events)} events`]),
      ...broken.map(
        (stream) =>
          `stream ${stream.stream_id} has ${String(stream.events)} events and ends at version ${String(stream.last)}`,
      ),
      ...disordered.map(
        ({ stream_id, version }) =>
          `version ${String(version)} of stream ${stream_id} stands before the one that it follows`,
      ),
      ...repeated.map(({ event_id }) => `the id ${event_id} is there twice`),
      ...altered.map(({ job_id }) => `the archive of job ${job_id} is not what was moved there`),
    ],
  };
}
