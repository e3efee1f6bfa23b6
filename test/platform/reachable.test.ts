import { afterAll, beforeAll, expect, test } from 'vitest';

import { Database } from '../../src/platform/database.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { untilAnswered, untilReachable } from '../../src/platform/reachable.ts';
import { sql } from '../../src/platform/sql.ts';
import { type PrivatePostgres, startPrivatePostgres } from '../support/private-servers.ts';

const logger = createLogger('silent', 'test');
const signal = new AbortController().signal;
let server: PrivatePostgres;
beforeAll(async () => {
  server = await startPrivatePostgres();
});
afterAll(async () => {
  await server.close();
});

async function withDatabase(
  url: string,
  work: (database: Database) => Promise<void>,
): Promise<void> {
  const database = new Database(url, { max: 1, applicationName: 'test', logger });
  try {
    await work(database);
  } finally {
    await database.close();
  }
}

test('a role that starts before its database waits for it', async () => {
  await server.stop();
  await withDatabase(server.url, async (database) => {
    const reached = untilReachable(database, { signal, logger });
    await server.start();
    await expect(reached).resolves.toBe(true);
    expect(await database.query(sql`select 1 as n`)).toEqual([{ n: 1 }]);
  });
});

test('a stop ends the wait', async () => {
  await withDatabase('postgres://127.0.0.1:1/none', async (database) => {
    const stop = new AbortController();
    const waiting = untilReachable(database, { signal: stop.signal, logger });
    stop.abort();
    await expect(waiting).resolves.toBe(false);
  });
});

test('a database that does not exist is not waited for', async () => {
  const url = new URL(server.url);
  url.pathname = '/nowhere';
  await withDatabase(url.href, async (database) => {
    await expect(untilReachable(database, { signal, logger })).rejects.toThrow(
      'database "nowhere" does not exist',
    );
  });
});

test('a question that the database did not live to answer is asked again', async () => {
  await withDatabase(server.url, async (database) => {
    await database.query(sql`select 1`);
    let asked = 0;
    const answer = untilAnswered(
      () => {
        asked += 1;
        return database.query(
          sql`select ${asked}::int as n, pg_sleep(${asked === 1 ? 60 : 0})::text`,
        );
      },
      { signal, logger },
    );
    await server.kill();
    await server.start();
    const [row] = (await answer) ?? [];
    expect(row?.['n']).toBe(asked);
    expect(asked).toBeGreaterThan(1);
  });
});

test('a question that is wrong is asked once', async () => {
  await withDatabase(server.url, async (database) => {
    const wrong = untilAnswered(() => database.query(sql`select nothing`), { signal, logger });
    await expect(wrong).rejects.toThrow('column "nothing" does not exist');
    const refused = untilAnswered(
      () => Promise.reject(new Error('The database lacks a migration')),
      {
        signal,
        logger,
      },
    );
    await expect(refused).rejects.toThrow('lacks a migration');
  });
});
