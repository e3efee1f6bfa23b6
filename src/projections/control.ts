import type { Database, Queryable } from '../platform/database.ts';
import { pause } from '../platform/backoff.ts';
import { sql } from '../platform/sql.ts';
import { dropGeneration, followerName, readGenerations } from './generations.ts';

export type ProjectionStatus = 'LIVE' | 'BUILDING' | 'PAUSED' | 'FAILED' | 'RETIRED';

/** One generation of a projection, as `read.projections` shows it. */
export type ProjectionInfo = Readonly<{
  name: string;
  generation: number;
  version: number;
  status: ProjectionStatus;
  /** Whether queries see this generation. */
  live: boolean;
  position: bigint;
  head: bigint;
  /** Events that it has not seen: exact, 0 when idle. */
  lag: number;
  lagSeconds: number;
  eventsPerSecond: number | null;
  error: string | null;
  updatedAt: Date;
}>;

type ProjectionRow = Omit<ProjectionInfo, 'position' | 'head'> &
  Readonly<{ position: string; head: string }>;

/** All generations, by name, the newest first. */
export async function listProjections(database: Queryable): Promise<readonly ProjectionInfo[]> {
  const rows = await database.query<ProjectionRow>(sql`
    select name, generation, version, status, live, position::text as position, head::text as head,
           lag::double precision as lag, lag_seconds as "lagSeconds", events_per_second as "eventsPerSecond",
           error, updated_at as "updatedAt"
    from read.projections order by name, generation desc`);
  return rows.map(toInfo);
}

const toInfo = ({ position, head, ...rest }: ProjectionRow): ProjectionInfo => ({
  ...rest,
  position: BigInt(position),
  head: BigInt(head),
});

/** For the metrics: how many events each live projection has not seen. */
export async function projectionLags(database: Queryable): Promise<ReadonlyMap<string, number>> {
  const projections = await listProjections(database);
  return new Map(projections.filter(({ live }) => live).map(({ name, lag }) => [name, lag]));
}

/** Stops a live projection where it is. When this resolves, nothing more of it is committed. */
export async function pauseProjection(database: Database, name: string): Promise<void> {
  await database.transaction(async (transaction) => {
    const generation = await setLive(transaction, name, true);
    // A page under way waits for this row and then finds that it has lost the right to move it.
    await transaction.query(sql`
      update log.followers set epoch = epoch + 1 where name = ${followerName(name, generation)}`);
  });
}

/** Lets a paused or failed projection go on from where it stopped; the projector sees it within a second or so. */
export async function resumeProjection(database: Queryable, name: string): Promise<void> {
  const generation = await setLive(database, name, false);
  await database.query(sql`
    delete from projections.poison
    where name = ${name} and generation = ${generation} and state = 'STOPPED'`);
}

async function setLive(database: Queryable, name: string, paused: boolean): Promise<number> {
  const [row] = await database.query<{ generation: number }>(sql`
    update projections.generations
    set paused = ${paused}, error = case when ${paused} then error end, updated_at = clock_timestamp()
    where name = ${name} and state = 'LIVE' returning generation`);
  if (!row) throw new Error(`There is no projection ${name}`);
  return row.generation;
}

/** Takes away what an unfinished rebuild has made; one that is under way ends with `CheckpointLost`. Gives whether there was any. */
export async function cancelRebuild(database: Database, name: string): Promise<boolean> {
  const building = (await readGenerations(database)).filter(
    (each) => each.name === name && each.state === 'BUILDING',
  );
  for (const each of building) await dropGeneration(database, each);
  return building.length > 0;
}

const POLL_MS = { first: 2, most: 50 } as const;

/**
 * Resolves with true as soon as the live projection has seen the log up to `position`, with false after the timeout
 * or when `signal` aborts: for a caller that reads its own writes.
 */
export async function waitForPosition(
  database: Queryable,
  name: string,
  position: bigint,
  { timeoutMs, signal }: Readonly<{ timeoutMs: number; signal: AbortSignal }>,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (let delayMs: number = POLL_MS.first; ; delayMs = Math.min(delayMs * 2, POLL_MS.most)) {
    const [seen] = await database.query(sql`
      select from projections.generations as generation
      join log.followers as follower
        on follower.name = 'projection:' || generation.name || ':' || generation.generation
      where generation.name = ${name} and generation.state = 'LIVE' and follower.position >= ${String(position)}`);
    if (seen) return true;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0 || signal.aborted) return false;
    await pause(Math.min(delayMs, leftMs), signal);
  }
}
