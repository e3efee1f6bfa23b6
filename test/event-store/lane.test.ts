import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { AppendUncertain } from '../../src/event-store/event-store.ts';
import { Lane, type LaneOptions } from '../../src/event-store/lane.ts';
import type { Queryable } from '../../src/platform/database.ts';
import { sql } from '../../src/platform/sql.ts';
import { type TestDatabase, emptyDatabase } from '../support/database.ts';
import { gate, range } from './builders.ts';
import { silent } from './postgres-subject.ts';

type Item = Readonly<{ n: number; key?: string; bytes?: number }>;

describe('a lane', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await emptyDatabase();
  });

  afterAll(async () => {
    await database.drop();
  });

  /** A lane that doubles numbers in Postgres, and writes down each batch; a null among them is refused. */
  const doubling = (
    options: Partial<LaneOptions<Item, number>> = {},
  ): { lane: Lane<Item, number>; batches: number[][] } => {
    const batches: number[][] = [];
    const lane = new Lane<Item, number>({
      databaseUrl: database.url,
      name: 'doubling',
      logger: silent,
      call: async (connection, items) => {
        batches.push(items.map(({ n }) => n));
        return double(connection, items);
      },
      keysOf: ({ key }) => (key === undefined ? [] : [key]),
      sizeOf: ({ bytes = 0 }) => ({ rows: 1, bytes }),
      ...options,
    });
    return { lane, batches };
  };

  test('what queues up while a call is in flight goes in the next', async () => {
    const { lane, batches } = doubling();
    await lane.submit({ n: 0 });
    const first = lane.submit({ n: 1 });
    const second = first.then(() => lane.submit({ n: 100 }));
    const burst = range(2, 50).map((n) => lane.submit({ n }));
    expect(await Promise.all([first, ...burst])).toEqual(range(1, 50).map((n) => n * 2));
    await second;
    expect(batches).toEqual([[0], range(1, 50), [100]]);
    await lane.close();
  });

  test('a call carries so many rows and bytes, and a larger item goes by itself', async () => {
    const { lane, batches } = doubling({ maxRows: 3, maxBytes: 100 });
    await Promise.all([
      ...range(1, 4).map((n) => lane.submit({ n })),
      ...range(5, 7).map((n) => lane.submit({ n, bytes: 60 })),
      lane.submit({ n: 8, bytes: 1000 }),
      lane.submit({ n: 9 }),
    ]);
    expect(batches).toEqual([[1, 2, 3], [4, 5], [6], [7], [8], [9]]);
    await lane.close();
  });

  test('items with a key in common go one after the other, in order', async () => {
    const { lane, batches } = doubling();
    const answers = ['a', 'a', 'b', 'a', 'b', 'c'].map((key, n) => lane.submit({ n, key }));
    expect(await Promise.all(answers)).toEqual([0, 2, 4, 6, 8, 10]);
    expect(batches).toEqual([[0, 2, 5], [1, 4], [3]]);
    await lane.close();
  });

  test('an item that Postgres refuses does not fail the others of its batch', async () => {
    const { lane } = doubling();
    const bad = new Set([3, 17, 18]);
    const answers = await Promise.allSettled(
      range(1, 40).map((n) => lane.submit({ n: bad.has(n) ? 2 ** 31 : n })),
    );
    for (const [index, answer] of answers.entries()) {
      const n = index + 1;
      expect(answer).toMatchObject(
        bad.has(n)
          ? { status: 'rejected', reason: { code: '22003' } }
          : { status: 'fulfilled', value: n * 2 },
      );
    }
    expect(await lane.submit({ n: 1 })).toBe(2);
    await lane.close();
  });

  test('an item that cannot even be sent does not fail the others of its batch', async () => {
    const { lane } = doubling({
      call: (connection, items) => {
        if (items.some(({ n }) => n === 3)) throw new TypeError('3 cannot be encoded');
        return double(connection, items);
      },
    });
    const answers = await Promise.allSettled(range(1, 5).map((n) => lane.submit({ n })));
    expect(answers.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
    await lane.close();
  });

  test('a statement that takes longer than its timeout is tried again, then left uncertain', async () => {
    let calls = 0;
    const { lane } = doubling({
      statementTimeoutMs: 30,
      deadlineMs: 250,
      call: async (connection) => {
        calls++;
        await connection.query(sql`select pg_sleep(10)`);
        return [1];
      },
    });
    await expect(lane.submit({ n: 1 })).rejects.toThrow(AppendUncertain);
    expect(calls).toBeGreaterThan(1);
    await lane.close();
  });

  test('behind a pooler that forgets prepared statements it goes on without them', async () => {
    const { lane } = doubling({
      call: async (connection, items) => {
        await connection.query(sql`deallocate all`);
        return double(connection, items);
      },
    });
    expect(await lane.submit({ n: 1 })).toBe(2);
    expect(await lane.submit({ n: 2 })).toBe(4);
    expect(await lane.submit({ n: 3 })).toBe(6);
    await lane.close();
  });

  test('close answers what was submitted, then refuses more', async () => {
    const { lane } = doubling({ maxRows: 5 });
    const answers = range(1, 20).map((n) => lane.submit({ n }));
    await lane.close();
    expect(await Promise.all(answers)).toEqual(range(1, 20).map((n) => n * 2));
    await expect(lane.submit({ n: 1 })).rejects.toThrow(/closed/);
    expect(await open(database.url)).toBe(0);
  });

  test('two connections share what is more than one call, and never a key', async () => {
    const flying = new Set<string>();
    const both = gate();
    let most = 0;
    const { lane } = doubling({
      connections: 2,
      maxRows: 4,
      call: async (connection, items) => {
        for (const { key = '' } of items) {
          expect(flying.has(key)).toBe(false);
          flying.add(key);
        }
        most = Math.max(most, flying.size);
        if (most > 4) both.open();
        else await both.promise;
        const answers = await double(connection, items);
        for (const { key = '' } of items) flying.delete(key);
        return answers;
      },
    });
    const answers = range(1, 40).map((n) => lane.submit({ n, key: `key ${String(n % 10)}` }));
    expect(await Promise.all(answers)).toEqual(range(1, 40).map((n) => n * 2));
    expect(most).toBeGreaterThan(4);
    await lane.close();
  });
});

async function double(connection: Queryable, items: readonly Item[]): Promise<readonly number[]> {
  const rows = await connection.query<{ twice: number }>(sql`
    select n::int * 2 as twice from unnest(${items.map(({ n }) => n)}::bigint[]) with ordinality as given (n, place)
    order by place`);
  return rows.map(({ twice }) => twice);
}

/** How many connections of the lane the server sees. */
async function open(url: string): Promise<number> {
  const counter = new Lane<null, number>({
    databaseUrl: url,
    name: 'counter',
    logger: silent,
    call: async (connection) => {
      const rows = await connection.query(sql`
        select pid from pg_stat_activity
        where datname = current_database() and application_name = 'jobledger doubling'`);
      return [rows.length];
    },
  });
  const count = await counter.submit(null);
  await counter.close();
  return count;
}
