import { DatabaseError } from 'pg';

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

/**
 * The answer to a question that a role has before it can begin: the database may go away again after it was reached,
 * and the question is then asked anew. undefined when `signal` aborts first. Throws what waiting won't help.
 */
export async function untilAnswered<T>(
  ask: () => Promise<T>,
  { signal, logger }: Options,
): Promise<T | undefined> {
  for (let tries = 1; !signal.aborted; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!isAway(error)) throw error;
      logger.warn({ err: error, tries }, 'the database went away before it answered: asking again');
      await pause(backoffMs(tries), signal);
    }
  }
  return undefined;
}

const NETWORK = /^(?:ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|EAI_AGAIN)/;

/** Connection lost, no resources, shut down or starting, I/O error; or what Node and the driver say of a lost one. */
function isAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof DatabaseError) return /^(?:08|53|57|58)/.test(error.code ?? '');
  if ('code' in error) return NETWORK.test(String(error.code));
  return /^(?:Connection terminated|timeout |Client has encountered)/.test(error.message);
}

/** Class 28 is a wrong account or password, 3D000 an unknown database. */
function isMistake(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('28') || code === '3D000';
}
