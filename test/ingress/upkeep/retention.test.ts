import { randomBytes, randomUUID } from 'node:crypto';

import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { DeliveryRetention, type Keep } from '../../../src/ingress/upkeep/retention.ts';
import { sourcesInLog } from '../../../src/ingress/upkeep/sources-in-log.ts';
import { Database } from '../../../src/platform/database.ts';
import { sql } from '../../../src/platform/sql.ts';
import { deliveryBody, findDelivery } from '../../../src/read/deliveries.ts';
import { DeliveryLog } from '../../../src/write/delivery/delivery-log.ts';
import { deliveryRows } from '../../../src/write/delivery/delivery-rows.ts';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { trigger } from '../../support/jobs.ts';

const logger = pino({ level: 'silent' });
const NOW = new Date('2026-11-20T12:00:00Z');
const KILOBYTE = 1_000;
let server: TestDatabase;
let database: Database;
let log: DeliveryLog;

beforeAll(async () => {
  server = await createDatabase();
  database = new Database(server.url, { max: 4, applicationName: 'test', logger });
  log = new DeliveryLog({ databaseUrl: server.url, logger });
});
afterAll(async () => {
  await log.close();
  await database.close();
  await server.drop();
});
beforeEach(async () => {
  await database.query(sql`delete from ingress.deliveries`);
});

const daysAgo = (days: number) => new Date(NOW.getTime() - days * 24 * 3_600_000);

/** Bodies that do not compress, so that their size is known. */
function delivery(id: string, days: number, { source = 'github', bytes = 10 } = {}) {
  return deliveryRows({
    source,
    provider: 'github',
    deliveryId: id,
    key: id,
    sameBodyIsDuplicate: true,
    event: 'push',
    action: null,
    outcome: 'ignored',
    reason: 'nothing',
    triggers: [trigger],
    jobs: [],
    headers: { 'user-agent': 'test' },
    body: randomBytes(bytes),
    receivedAt: daysAgo(days),
  });
}

async function store(...args: Parameters<typeof delivery>) {
  const { row, events } = delivery(...args);
  await log.accept(row, events);
  return { row, events };
}

const retention = (keep: Partial<Keep>, sources: Record<string, Keep> = {}) =>
  new DeliveryRetention({
    database,
    clock: () => NOW,
    rules: {
      keepOf: (source) => sources[source] ?? { days: null, megabytes: null, ...keep },
      rememberDays: 90,
    },
  });

const never = new AbortController().signal;
const left = async () => {
  const rows = await database.query<{ delivery_id: string; gone: boolean }>(sql`
    select delivery_id, body is null as gone from ingress.deliveries order by delivery_id`);
  return rows.map(({ delivery_id, gone }) => (gone ? `${delivery_id} without body` : delivery_id));
};

describe('retention', () => {
  test('removes bodies by age, and rows only when no host can send them again', async () => {
    await store('a', 1);
    await store('b', 8);
    await store('c', 91);
    expect(await retention({ days: 7 }).runOnce(never)).toEqual({ bodies: 2, rows: 1 });
    expect(await left()).toEqual(['a', 'b without body']);
  });

  test('keeps all where nothing else is said, and what a source says goes first', async () => {
    await store('a', 1000);
    await store('b', 1000, { source: 'shop' });
    expect(await retention({}).runOnce(never)).toEqual({ bodies: 0, rows: 0 });
    const own = { shop: { days: 2000, megabytes: null } };
    expect(await retention({ days: 7 }, own).runOnce(never)).toEqual({ bodies: 1, rows: 1 });
    expect(await left()).toEqual(['b']);
  });

  test('keeps the newest bodies of each source up to its size', async () => {
    for (let n = 1; n <= 5; n += 1) await store(`a${String(n)}`, n, { bytes: 300 * KILOBYTE });
    await store('b1', 9, { source: 'shop', bytes: 300 * KILOBYTE });
    expect(await retention({ megabytes: 1 }).runOnce(never)).toEqual({ bodies: 2, rows: 0 });
    expect(await left()).toEqual(['a1', 'a2', 'a3', 'a4 without body', 'a5 without body', 'b1']);
    expect(await retention({ megabytes: 1 }).runOnce(never)).toEqual({ bodies: 0, rows: 0 });
  });

  test('goes on over many batches and later runs, and ends when it is told to', async () => {
    for (let n = 0; n < 250; n += 1) await store(`n${String(n)}`, 30);
    const stop = new AbortController();
    const first = new DeliveryRetention({
      database,
      clock: () => NOW,
      rules: { keepOf: () => ({ days: 7, megabytes: null }), rememberDays: 90 },
      onRemoved: () => {
        stop.abort();
      },
    });
    expect(await first.runOnce(stop.signal)).toEqual({ bodies: 100, rows: 0 });
    expect(await first.runOnce(never)).toEqual({ bodies: 150, rows: 0 });
    expect((await left()).every((each) => each.endsWith('without body'))).toBe(true);
  });

  test('leaves a delivery known: sent again it is a duplicate, under its id and by its body', async () => {
    const { row, events } = await store('known', 40);
    await retention({ days: 7 }).runOnce(never);
    expect(await log.accept({ ...row, id: randomUUID() }, events)).toMatchObject({
      status: 'duplicate',
    });
    expect(
      await log.accept({ ...row, id: randomUUID(), key: 'another', deliveryId: 'another' }, events),
    ).toMatchObject({ status: 'duplicate' });
    const other = delivery('known', 40).row;
    expect(await log.accept(other, events)).toEqual({ status: 'id-conflict' });
  });

  test('says clearly that a body was removed', async () => {
    await store('asked-for', 8);
    await retention({ days: 7 }).runOnce(never);
    const found = await findDelivery(database, 'asked-for');
    expect(found?.bodyRemovedAt).toBeInstanceOf(Date);
    await expect(deliveryBody(database, found!)).rejects.toMatchObject({
      message: expect.stringContaining('Retention removed the body at') as string,
      extensions: { code: 'BODY_REMOVED' },
    });
  });

  test('neither waits for the log’s turn nor makes a delivery wait', async () => {
    await store('old', 8);
    const result = await database.transaction(async (transaction) => {
      await transaction.query(sql`select log.take_turn()`);
      return retention({ days: 7 }).runOnce(never);
    });
    expect(result).toEqual({ bodies: 1, rows: 0 });
    // A row that somebody has locked is for the next run.
    await store('locked', 8);
    await store('free', 8);
    await database.transaction(async (transaction) => {
      await transaction.query(sql`
        select from ingress.deliveries where delivery_id = 'locked' for update`);
      expect(await retention({ days: 7 }).runOnce(never)).toEqual({ bodies: 1, rows: 0 });
      await store('new', 0);
    });
    expect(await retention({ days: 7 }).runOnce(never)).toEqual({ bodies: 1, rows: 0 });
  });
});

test('the sources of the log are found one by one', async () => {
  expect(await sourcesInLog(database)).toEqual([]);
  for (const source of ['b', 'a', 'b', 'c']) await store(randomUUID(), 1, { source });
  expect(await sourcesInLog(database)).toEqual(['a', 'b', 'c']);
});
