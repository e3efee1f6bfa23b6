import { type ClientBase, type ClientConfig, Pool } from 'pg';

import type { Logger } from './logger.ts';
import type { Statement } from './sql.ts';
import { columnTypes } from './timestamps.ts';

export type Row = Record<string, unknown>;

/** Anything that runs statements: the pool, or one transaction. */
export interface Queryable {
  query<R extends Row = Row>(statement: Statement): Promise<readonly R[]>;
}

/** A pool of connections to Postgres. A lost connection is replaced at the next use. */
export class Database implements Queryable {
  private readonly pool: Pool;

  constructor(
    readonly url: string,
    options: Readonly<{ max: number; applicationName: string; logger: Logger }>,
  ) {
    this.pool = new Pool({
      ...connectionOptions(url, options.applicationName),
      max: options.max,
      idleTimeoutMillis: 30_000,
    });
    // Without a listener, an idle connection that the server closes would end the process.
    this.pool.on('error', (error) => {
      options.logger.warn({ err: error }, 'an idle database connection was lost');
    });
    // So would one that a transaction holds and is not using just then; its next statement fails, and that is enough.
    this.pool.on('connect', (client) => {
      client.on('error', () => {});
    });
  }

  async query<R extends Row = Row>(statement: Statement): Promise<readonly R[]> {
    const { rows } = await this.pool.query<R>(statement.text, [...statement.values]);
    return rows;
  }

  /** Runs `work` in one READ COMMITTED transaction: commits what it returns from, rolls back what it throws from. */
  async transaction<T>(work: (transaction: Queryable) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    let broken: Error | undefined;
    try {
      await client.query('begin');
      const result = await work(queryable(client));
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch((failure: Error) => {
        broken = failure;
      });
      throw error;
    } finally {
      client.release(broken);
    }
  }

  /** Total, idle and waiting, for the metrics. */
  connections(): Readonly<{ total: number; idle: number; waiting: number }> {
    const { totalCount, idleCount, waitingCount } = this.pool;
    return { total: totalCount, idle: idleCount, waiting: waitingCount };
  }

  async close(): Promise<void> {
    await this.pool.end();
  }
}

/** As the server shows a connection. */
export const applicationName = (name: string): string => `jobledger ${name}`.slice(0, 63);

/** What every connection of ours is opened with, pooled or dedicated. */
export function connectionOptions(url: string, name: string): ClientConfig {
  return {
    connectionString: url,
    application_name: applicationName(name),
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    types: columnTypes,
  };
}

export function queryable(client: ClientBase): Queryable {
  return {
    async query<R extends Row = Row>(statement: Statement): Promise<readonly R[]> {
      const { rows } = await client.query<R>(statement.text, [...statement.values]);
      return rows;
    },
  };
}
