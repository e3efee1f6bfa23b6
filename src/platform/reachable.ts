import { backoffMs, pause } from './backoff.ts';
import type { Queryable } from './database.ts';
import type { Logger } from './logger.ts';
import { sql } from './sql.ts';

type Options = Readonly<{ signal: AbortSignal; logger: Logger }>;

/**
 * Resolves with whether the database answers: when it does, or when `signal` aborts, as a role may start before its
 * database does. Throws when waiting won't help: a wrong password, or a database that doesn't exist.
 */
export async function untilReachable(
  database: Queryable,
  { signal, logger }: Options,
): Promise<boolean> {
  for (let tries = 1; !signal.aborted; tries += 1) {
    try {
      await database.query(sql`select 1`);
      return true;
    } catch (error) {
      if (isMistake(error)) throw error;
      logger.warn({ err: error, tries }, 'the database does not answer yet: trying again');
      await pause(backoffMs(tries), signal);
    }
  }
  return false;
}

/** Class 28 is a wrong account or password, 3D000 an unknown database. */
function isMistake(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('28') || code === '3D000';
}
