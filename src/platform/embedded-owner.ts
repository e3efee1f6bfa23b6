import { Client } from 'pg';

import { backoffMs, pause } from './backoff.ts';
import { connectionOptions } from './database.ts';
import { OWNER } from './embedded-cluster.ts';
import { sql } from './sql.ts';

/** Where an embedded Postgres is found; the password is of letters that a URL takes. */
export function embeddedUrl(port: number, password: string, database: string): string {
  return `postgres://${OWNER}:${password}@127.0.0.1:${String(port)}/${database}`;
}

/** Connects as soon as the server accepts; null when the server ends before it does. */
export async function connectOnceUp(url: string, isRunning: () => boolean): Promise<Client | null> {
  const deadline = performance.now() + 60_000;
  for (let tries = 1; isRunning(); tries += 1) {
    const client = new Client(connectionOptions(url, 'embedded'));
    // A later loss of the connection is noticed by the end of the server, which comes with it.
    client.on('error', () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      if (isRefusal(error) || performance.now() > deadline) throw error;
      await pause(backoffMs(tries, { firstMs: 20, maxMs: 100 }), new AbortController().signal);
    }
  }
  return null;
}

/** A wrong password stays wrong; anything else is a server that isn't ready yet. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '28P01';
}

/**
 * Makes the process of this connection the owner of the data; false when another one is. Postgres itself frees the
 * lock when the connection ends, so that the owner is always one that lives.
 */
export async function own(connection: Client): Promise<boolean> {
  const { rows } = await connection.query<{ owned: boolean }>(
    'select pg_try_advisory_lock(7215540104) as owned',
  );
  return rows[0]?.owned === true;
}

/** Makes the database that the service works in, unless it is there. */
export async function ensureDatabase(connection: Client): Promise<void> {
  const { text, values } = sql`select 1 from pg_database where datname = ${OWNER}`;
  const { rowCount } = await connection.query(text, [...values]);
  if (rowCount === 0) await connection.query(`create database ${OWNER}`);
}
