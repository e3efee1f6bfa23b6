import { backoffMs, pause } from '../platform/backoff.ts';
import type { Logger } from '../platform/logger.ts';
import { sql } from '../platform/sql.ts';
import type { Queryable } from '../platform/database.ts';
import { raiseEpoch } from './checkpoint.ts';
import { DedicatedConnection } from './dedicated-connection.ts';

/** What each candidate's connection is called, whether it leads or not. */
export const candidateName = (name: string): string => `lead ${name}`;

/** One stretch of leading: `signal` aborts when it must end, `epoch` is higher than any before it. */
export type Term = Readonly<{ epoch: bigint; signal: AbortSignal }>;

const CANDIDATE_MS = 1_000;
const HEARTBEAT_MS = 1_000;
const NO_HEARTBEAT_MS = 4_000;

/** The server lets go of a leader that is dead, unreachable or frozen: the next one leads within seconds. */
const SESSION = {
  idle_session_timeout: `${String(NO_HEARTBEAT_MS)}ms`,
  tcp_keepalives_idle: '2',
  tcp_keepalives_interval: '1',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '4000',
} as const;

/**
 * One process at a time leads under a name: it holds an advisory lock of a session of its own. The lock says who
 * may try; that nobody else's work counts is for the epoch to say, in the transaction that moves the checkpoint.
 */
export class Leadership {
  constructor(
    private readonly options: Readonly<{
      databaseUrl: string;
      name: string;
      logger: Logger;
      /** Asked before each try for the lock: a candidate may leave it to others. */
      mayTry?: (database: Queryable) => Promise<boolean>;
    }>,
  ) {}

  /** Runs `work` in each term that is won, until `signal` aborts and the last `work` has ended. */
  async lead(signal: AbortSignal, work: (term: Term) => Promise<void>): Promise<void> {
    const { logger, name } = this.options;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.campaign(signal, work);
        failures = 0;
      } catch (error) {
        failures++;
        logger.warn({ err: error, follower: name }, 'a term ended with an error');
        await pause(backoffMs(failures), signal);
      }
    }
  }

  /** One connection's life: waits for the lock, and leads for one term. */
  private async campaign(signal: AbortSignal, work: (term: Term) => Promise<void>): Promise<void> {
    const { databaseUrl, name } = this.options;
    const connection = await DedicatedConnection.open(databaseUrl, candidateName(name), SESSION);
    const term = new AbortController();
    const end = (): void => {
      term.abort();
    };
    signal.addEventListener('abort', end);
    connection.lost.addEventListener('abort', end);
    if (signal.aborted || connection.lost.aborted) end();
    try {
      while (!term.signal.aborted && !(await this.takeLock(connection))) {
        await pause(CANDIDATE_MS * (0.75 + Math.random() / 2), term.signal);
      }
      if (!term.signal.aborted) await this.serve(connection, term, work);
    } finally {
      signal.removeEventListener('abort', end);
      connection.lost.removeEventListener('abort', end);
      await connection.close();
    }
  }

  private async serve(
    connection: DedicatedConnection,
    term: AbortController,
    work: (term: Term) => Promise<void>,
  ): Promise<void> {
    const { logger, name } = this.options;
    const epoch = await raiseEpoch(connection, name);
    logger.info({ follower: name, epoch: String(epoch) }, 'leads');
    const working = new AbortController();
    const heartbeat = beat(connection, working.signal);
    try {
      await work({ epoch, signal: term.signal });
    } finally {
      working.abort();
      await heartbeat;
      logger.info({ follower: name, epoch: String(epoch) }, 'leads no longer');
    }
  }

  private async takeLock(connection: DedicatedConnection): Promise<boolean> {
    if ((await this.options.mayTry?.(connection)) === false) return false;
    const [row] = await connection.query<{ taken: boolean }>(sql`
      select pg_try_advisory_lock(hashtextextended(${`jobledger follower ${this.options.name}`}, 0)) as taken`);
    return row?.taken === true;
  }
}

/** Keeps the session from idling, and drops a connection that no longer answers: the server is out of reach. */
async function beat(connection: DedicatedConnection, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && !connection.lost.aborted) {
    await pause(HEARTBEAT_MS, signal);
    const timer = setTimeout(() => {
      connection.destroy();
    }, NO_HEARTBEAT_MS);
    await connection.query(sql`select 1`).catch(() => {
      connection.destroy();
    });
    clearTimeout(timer);
  }
}
