import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

import { Database } from '../../src/platform/database.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { sql } from '../../src/platform/sql.ts';
import { eventually } from '../support/eventually.ts';
import { type PrivatePostgres, startPrivatePostgres } from '../support/private-servers.ts';

let server: PrivatePostgres;
let database: Database;

beforeAll(async () => {
  server = await startPrivatePostgres();
});
afterAll(async () => {
  await server.close();
});
beforeEach(() => {
  database = new Database(server.url, {
    max: 2,
    applicationName: 'test',
    logger: createLogger('silent', 'test'),
  });
});
afterEach(async () => {
  await database.close();
});

const one = sql`select 1 as n`;

test('a pool works again after its server was restarted', async () => {
  await Promise.all([database.query(one), database.query(one)]);
  await server.stop();
  await expect(database.query(one)).rejects.toThrow(/ECONNREFUSED|terminat/);
  await server.start();
  await eventually(async () => {
    expect(await database.query(one)).toEqual([{ n: 1 }]);
  });
  await expect(Promise.all([database.query(one), database.query(one)])).resolves.toHaveLength(2);
});

test('a transaction whose server is killed fails, and its connection is not used again', async () => {
  const broken = database.transaction(async (transaction) => {
    await transaction.query(one);
    await server.kill();
    await transaction.query(one);
  });
  await expect(broken).rejects.toThrow(/terminat|not queryable/);
  expect(database.connections().total).toBe(0);
  await server.start();
  expect(await database.query(one)).toEqual([{ n: 1 }]);
});

test('a server that ends a transaction between two statements ends nothing else', async () => {
  const broken = database.transaction(async (transaction) => {
    const [row] = await transaction.query<{ pid: number }>(sql`select pg_backend_pid() as pid`);
    await database.query(sql`select pg_terminate_backend(${row?.pid})`);
    await eventually(async () => {
      const pids = await database.query(
        sql`select pid from pg_stat_activity where pid = ${row?.pid}`,
      );
      expect(pids).toEqual([]);
    });
    // Long enough for the goodbye to arrive: it must not end the process.
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    await transaction.query(one);
  });
  await expect(broken).rejects.toThrow(/terminat|not queryable/);
  expect(await database.query(one)).toEqual([{ n: 1 }]);
});

test('what a transaction throws rolls it back', async () => {
  await database.query(sql`create table kept (n int)`);
  const refused = database.transaction(async (transaction) => {
    await transaction.query(sql`insert into kept values (1)`);
    throw new Error('refused');
  });
  await expect(refused).rejects.toThrow('refused');
  expect(await database.query(sql`select n from kept`)).toEqual([]);
  await database.transaction(async (transaction) =>
    transaction.query(sql`insert into kept values (2)`),
  );
  expect(await database.query(sql`select n from kept`)).toEqual([{ n: 2 }]);
});
