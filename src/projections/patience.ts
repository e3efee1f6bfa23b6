import { CheckpointLost } from '../event-store/checkpoint.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { type Build, resume } from './build.ts';
import { UnknownEvent } from './catch-up.ts';
import { ProjectionFault } from './projection-fault.ts';
import { isRefusal } from './page.ts';
import type { RebuildOptions } from './rebuild-options.ts';

/** Nothing that waiting would mend. */
export class RebuildStuck extends Error {
  override readonly name = 'RebuildStuck';
}

export const NEVER: AbortSignal = new AbortController().signal;

/**
 * Runs a part of a rebuild, again and again while only the database or the network is to blame, from where the
 * checkpoints then stand. Throws all else; what an event is to blame for is kept with the generation.
 */
export async function patiently<T>(
  builds: readonly Build[],
  { database, logger, signal = NEVER }: RebuildOptions,
  work: () => Promise<T | null>,
): Promise<T | null> {
  for (let tries = 1; ; tries++) {
    try {
      if (tries > 1) await resume(builds, database);
      return await work();
    } catch (error) {
      if (isFinal(error)) {
        await recordCause(builds, database, error);
        throw error;
      }
      if (signal.aborted) return null;
      logger?.warn({ err: error }, 'a rebuild lost the database and will go on');
      await pause(backoffMs(tries), signal);
    }
  }
}

const FINAL = [CheckpointLost, ProjectionFault, UnknownEvent, RebuildStuck, TypeError, RangeError];

const isFinal = (error: unknown): boolean =>
  isRefusal(error) || FINAL.some((type) => error instanceof type);

async function recordCause(
  builds: readonly Build[],
  database: Queryable,
  error: unknown,
): Promise<void> {
  if (error instanceof ProjectionFault) {
    const guilty = builds.find(({ reader }) => reader === error.reader);
    if (guilty) await recordError(guilty, database, error.message);
  } else if (error instanceof UnknownEvent) {
    for (const build of builds) await recordError(build, database, error.message);
  }
}

/** Shows why a generation was not finished; the next rebuild begins anew. */
export async function recordError(
  { reader }: Build,
  database: Queryable,
  message: string,
): Promise<void> {
  await database.query(sql`
    update projections.generations set error = ${message}, updated_at = clock_timestamp()
    where name = ${reader.projection.name} and generation = ${reader.generation} and state = 'BUILDING'`);
}
