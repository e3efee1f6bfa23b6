import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Database } from '../../src/platform/database.ts';
import { sql } from '../../src/platform/sql.ts';
import { DeliveryLog } from '../../src/write/delivery/delivery-log.ts';
import { deliveryRows } from '../../src/write/delivery/delivery-rows.ts';
import { Deliveries } from '../../src/write/delivery/receive-delivery.ts';
import type { DeliveryReceipt, ReceivedDelivery } from '../../src/write/door.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { request, trigger } from '../support/jobs.ts';

const logger = pino({ level: 'silent' });
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

const planned = (workflow = 'review') => {
  const { priority, concurrency, retry } = request();
  return { workflow, priority, concurrency, retry };
};

let count = 0;
/** A delivery that no other test has sent. */
function delivery(change: Partial<ReceivedDelivery> = {}): ReceivedDelivery {
  const id = `delivery-${String(++count)}`;
  return {
    source: 'github',
    provider: 'github',
    deliveryId: id,
    key: id,
    sameBodyIsDuplicate: true,
    event: 'pull_request',
    action: 'opened',
    outcome: 'accepted',
    reason: null,
    triggers: [trigger],
    jobs: [{ trigger, planned: planned() }],
    headers: { 'user-agent': 'test' },
    body: Buffer.from(`{"n":${String(count)},"text":"é\u0000"}`),
    receivedAt: new Date('2026-11-20T12:00:00.123Z'),
    ...change,
  };
}

const accept = (given: ReceivedDelivery): Promise<DeliveryReceipt> => {
  const { row, events } = deliveryRows(given);
  return log.accept(row, events);
};

const counts = async () => {
  const [row] = await database.query<{ deliveries: number; events: number }>(sql`
    select (select count(*)::int from ingress.deliveries) as deliveries,
      (select count(*)::int from log.events) as events`);
  return row ?? { deliveries: -1, events: -1 };
};

const idOf = (receipt: DeliveryReceipt) => (receipt.status === 'id-conflict' ? null : receipt.id);

function gate(): Readonly<{ opened: Promise<void>; open: () => void }> {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

describe('a delivery with a large body', () => {
  const body = (fill: string) =>
    Buffer.from(JSON.stringify({ n: ++count, fill: fill.repeat(1_100_000) }));

  test('is stored as it came, with the request of its job and how long it took', async () => {
    const before = await counts();
    const given = delivery({ body: body('x'), elapsedMs: () => 50 });
    const receipt = await accept(given);
    expect(receipt).toMatchObject({ status: 'new', jobs: [{ workflow: 'review' }] });
    const [row] = await database.query<{ body: Buffer; latency_ms: number }>(sql`
      select body, latency_ms from ingress.deliveries where id = ${idOf(receipt)}`);
    expect(row?.body.equals(given.body)).toBe(true);
    expect(row?.latency_ms).toBeGreaterThan(50);
    expect(await counts()).toEqual({
      deliveries: before.deliveries + 1,
      events: before.events + 1,
    });
  });

  test('is known when it comes again: by its id, by its body, and its id with another body', async () => {
    const given = delivery({ body: body('x') });
    const first = await accept(given);
    const before = await counts();
    const again = await accept(given);
    const underAnotherId = await accept({ ...given, key: 'other', deliveryId: 'other' });
    const another = await accept({ ...given, body: body('y') });

    expect([again, underAnotherId]).toMatchObject([
      { status: 'duplicate', id: idOf(first), jobs: [{ workflow: 'review' }] },
      { status: 'duplicate', id: idOf(first), jobs: [{ workflow: 'review' }] },
    ]);
    expect(another).toEqual({ status: 'id-conflict' });
    expect(await counts()).toEqual(before);
  });

  test('that comes to several processes at once under several ids is one', async () => {
    const before = await counts();
    const given = delivery({ body: body('z') });
    const logs = [1, 2, 3].map(() => new DeliveryLog({ databaseUrl: server.url, logger }));
    const receipts = await Promise.all(
      logs.map((each, index) => {
        const id = `${given.key}-${String(index)}`;
        const { row, events } = deliveryRows({ ...given, key: id, deliveryId: id });
        return each.accept(row, events);
      }),
    );
    await Promise.all(logs.map((each) => each.close()));

    expect(receipts.map(({ status }) => status).toSorted()).toEqual([
      'duplicate',
      'duplicate',
      'new',
    ]);
    expect(new Set(receipts.map(idOf)).size).toBe(1);
    expect(await counts()).toEqual({
      deliveries: before.deliveries + 1,
      events: before.events + 1,
    });
  });

  test('holds no other up while it is written', async () => {
    const blocker = new Database(server.url, { max: 1, applicationName: 'blocker', logger });
    const large = delivery({ body: body('w') });
    // Whoever writes this row waits, as if its body took long to write.
    const inserted = gate();
    const released = gate();
    const held = blocker
      .transaction(async (transaction) => {
        await transaction.query(sql`
          insert into ingress.deliveries (id, received_at, source, provider, delivery_id, delivery_key, body_sha256,
            event, outcome, triggers, jobs, headers, body)
          values (gen_random_uuid(), now(), ${large.source}, 'github', 'x', ${large.key}, '', 'x', 'ignored', '[]',
            '[]', '{}', '')`);
        inserted.open();
        await released.opened;
        throw new Error('never stored');
      })
      .catch((error: unknown) => error);
    await inserted.opened;
    const stored = accept(large);
    await eventually(async () => {
      const waiting = await database.query(sql`
        select from pg_stat_activity where wait_event_type = 'Lock'
          and application_name like '%large deliveries%'`);
      expect(waiting.length).toBeGreaterThan(0);
    });
    expect(await accept(delivery())).toMatchObject({ status: 'new' });
    released.open();
    expect(await held).toMatchObject({ message: 'never stored' });
    expect(await stored).toMatchObject({ status: 'new' });
    await blocker.close();
  });
});

describe('a delivery', () => {
  test('is stored as it came, with the request of its job', async () => {
    const given = delivery();
    const receipt = await accept(given);
    expect(receipt).toMatchObject({ status: 'new', jobs: [{ workflow: 'review' }] });
    const [row] = await database.query(sql`
      select * from ingress.deliveries where id = ${idOf(receipt)}`);
    expect(row).toMatchObject({
      source: 'github',
      delivery_id: given.deliveryId,
      repository: 'octo/repo',
      body: given.body,
      headers: given.headers,
      triggers: given.triggers,
      received_at: given.receivedAt,
    });
    const [job] = (row as { jobs: { id: string }[] }).jobs;
    const events = await database.query(sql`
      select type, version, data, metadata from log.events where stream_id = ${job?.id}`);
    expect(events).toEqual([
      {
        type: 'JobRequested',
        version: 1,
        data: { ...planned(), trigger, input: null, deliveryId: idOf(receipt) },
        metadata: { causationId: idOf(receipt), correlationId: idOf(receipt) },
      },
    ]);
  });

  test('that asks for no job is stored all the same', async () => {
    const before = await counts();
    const receipt = await accept(
      delivery({ outcome: 'ignored', reason: 'a ping', triggers: [], jobs: [] }),
    );
    expect(receipt).toMatchObject({ status: 'new', jobs: [] });
    expect(await counts()).toEqual({ deliveries: before.deliveries + 1, events: before.events });
  });

  test('is stored with how long it took until it was durable', async () => {
    const latencyOf = async (change: Partial<ReceivedDelivery>): Promise<number | null> => {
      const receipt = await accept(delivery(change));
      const [row] = await database.query<{ latency_ms: number | null }>(sql`
        select latency_ms from ingress.deliveries where id = ${idOf(receipt)}`);
      return row?.latency_ms ?? null;
    };

    expect(await latencyOf({ elapsedMs: () => 1_000 })).toBeGreaterThan(1_000);
    expect(await latencyOf({ elapsedMs: () => 1_000, wasSpooled: true })).toBe(1_000);
    expect(await latencyOf({})).toBeNull();
  });

  test('that comes again is a duplicate with the jobs of the first', async () => {
    const given = delivery();
    const first = await accept(given);
    const before = await counts();
    expect(await accept(given)).toEqual({ ...first, status: 'duplicate' });
    expect(await counts()).toEqual(before);
  });

  test('with the same body under another key is a duplicate where the signature does not cover the key', async () => {
    const given = delivery();
    const first = await accept(given);
    expect(await accept({ ...given, key: 'another-key' })).toEqual({
      ...first,
      status: 'duplicate',
    });
    expect(
      await accept({ ...given, key: 'a-third-key', sameBodyIsDuplicate: false }),
    ).toMatchObject({ status: 'new' });
    expect(await accept({ ...given, source: 'other' })).toMatchObject({ status: 'new' });
  });

  test('with a known key and another body is refused, and nothing is stored', async () => {
    const given = delivery();
    await accept(given);
    const before = await counts();
    expect(await accept({ ...given, body: Buffer.from('{}') })).toEqual({ status: 'id-conflict' });
    expect(await counts()).toEqual(before);
  });

  test('whose answer was lost is new when the same call is sent again', async () => {
    const { row, events } = deliveryRows(delivery());
    const first = await log.accept(row, events);
    expect(await log.accept(row, events)).toEqual(first);
  });

  test('with several triggers starts one job for each', async () => {
    const second = { ...trigger, ref: 'other' };
    const receipt = await accept(
      delivery({
        triggers: [trigger, second],
        jobs: [
          { trigger, planned: planned() },
          { trigger: second, planned: planned() },
          { trigger: second, planned: planned('scan') },
        ],
      }),
    );
    const ids = receipt.status === 'id-conflict' ? [] : receipt.jobs.map(({ id }) => id);
    expect(new Set(ids).size).toBe(3);
  });
});

test('the same delivery 50 times at once is one row and one job', async () => {
  const given = delivery();
  const before = await counts();
  const receipts = await Promise.all(Array.from({ length: 50 }, () => accept(given)));
  expect(receipts.filter(({ status }) => status === 'new')).toHaveLength(1);
  expect(receipts.filter(({ status }) => status === 'duplicate')).toHaveLength(49);
  expect(new Set(receipts.map(idOf)).size).toBe(1);
  expect(await counts()).toEqual({
    deliveries: before.deliveries + 1,
    events: before.events + 1,
  });
});

test('500 deliveries at once are all stored, at dense positions', async () => {
  const before = await counts();
  const receipts = await Promise.all(Array.from({ length: 500 }, () => accept(delivery())));
  expect(receipts.every(({ status }) => status === 'new')).toBe(true);
  expect(await counts()).toEqual({
    deliveries: before.deliveries + 500,
    events: before.events + 500,
  });
  const [row] = await database.query<{ dense: boolean }>(
    sql`select max(position) = count(*) as dense from log.events`,
  );
  expect(row?.dense).toBe(true);
});

test('workers are told of the jobs of a new delivery that need not wait for others, and once', async () => {
  const told: string[] = [];
  let outstanding = 0;
  const deliveries = new Deliveries(log, {
    reserve: () => ++outstanding > 0,
    giveBack: () => {
      outstanding--;
    },
    publish: ({ jobId }) => {
      outstanding--;
      told.push(jobId);
    },
  });
  const queued = { ...planned('deploy'), concurrency: { key: 'k', strategy: 'queue' } as const };
  const jobs = [queued, planned('review'), planned('scan')].map((each) => ({
    trigger,
    planned: each,
  }));
  const given = delivery({ jobs });
  const receipt = await deliveries.receive(given);
  await deliveries.receive(given);
  const ids = receipt.status === 'id-conflict' ? [] : receipt.jobs.map(({ id }) => id);
  expect(told).toEqual(ids.slice(1));
  expect(outstanding).toBe(0);
  const marked = await database.query<{ stream_id: string }>(sql`
    select stream_id from log.events
    where stream_id = any (${ids}) and metadata ->> 'hinted' = 'true' order by position`);
  expect(marked.map((row) => row.stream_id)).toEqual(told);
});
