import { createHash, randomUUID } from 'node:crypto';

import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Database } from '../../src/platform/database.ts';
import { sql } from '../../src/platform/sql.ts';
import { openDoor } from '../../src/processes/door.ts';
import { DeliveryLog } from '../../src/write/delivery/delivery-log.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { fixtures, fixturesNote, haveFixtures, readFixture } from './support/fixtures.ts';
import {
  type TestIngress,
  planned,
  post,
  pullRequestBody,
  pullRequestPayload,
  startIngress,
} from './support/ingress.ts';
import { type WorkerFile, workerFile } from './support/worker-file.ts';

const logger = pino({ level: 'silent' });

let server: TestDatabase;
let database: Database;
let log: DeliveryLog;
let ingress: TestIngress;
let worker: WorkerFile;
let closeDoor: () => Promise<void>;

beforeAll(async () => {
  server = await createDatabase();
  database = new Database(server.url, { max: 4, applicationName: 'test', logger });
  log = new DeliveryLog({ databaseUrl: server.url, logger });
  worker = await workerFile();
  const { door, close } = await openDoor({ deliveryLog: log });
  closeDoor = close;
  ingress = await startIngress({
    door,
    plan: () => [planned],
    workerUrl: worker.url,
    storeDeadlineMs: 15_000,
  });
});
afterAll(async () => {
  await ingress.close();
  await closeDoor();
  await log.close();
  await database.close();
  await server.drop();
  worker.remove();
});

type Row = {
  delivery_id: string;
  outcome: string;
  body: Buffer;
  triggers: readonly unknown[];
  jobs: readonly { id: string }[];
};

const rowsOf = (deliveryId: string): Promise<readonly Row[]> =>
  database.query<Row>(sql`select * from ingress.deliveries where delivery_id = ${deliveryId}`);

const eventsOf = async (jobId: unknown): Promise<string[]> => {
  const rows = await database.query<{ type: string }>(
    sql`select type from log.events where stream_id = ${jobId}`,
  );
  return rows.map(({ type }) => type);
};

describe('a delivery', () => {
  test('that is answered with 202 is in the database, to the byte, with its jobs', async () => {
    const id = randomUUID();
    const body = pullRequestBody({ title: 'x\u0000y\ud800 🎉' });
    const answer = await post(ingress, body, { 'x-github-delivery': id });
    const [row, ...others] = await rowsOf(id);

    expect(answer.status).toBe(202);
    expect(others).toEqual([]);
    expect(row).toMatchObject({ outcome: 'accepted', jobs: answer.body['jobs'] });
    expect(row?.body.toString()).toBe(body);
    expect(row?.triggers).toMatchObject([{ pullRequest: { title: 'x\uFFFDy\uFFFD 🎉' } }]);
    expect(await eventsOf(row?.jobs[0]?.id)).toEqual(['JobRequested']);
  });

  test('that comes fifty times at once is one delivery and one job', async () => {
    const id = randomUUID();
    const body = pullRequestBody();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => post(ingress, body, { 'x-github-delivery': id })),
    );
    const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b);

    expect(statuses).toEqual([...Array.from({ length: 49 }, () => 200), 202]);
    expect(new Set(answers.map(({ body: { jobs } }) => JSON.stringify(jobs))).size).toBe(1);
    const [row, ...others] = await rowsOf(id);
    expect(others).toEqual([]);
    expect(await eventsOf(row?.jobs[0]?.id)).toEqual(['JobRequested']);
  });

  test('comes again under another id as a duplicate, and with another body under its id as a conflict', async () => {
    const id = randomUUID();
    const body = pullRequestBody();
    const first = await post(ingress, body, { 'x-github-delivery': id });
    const again = await post(ingress, body);
    const other = await post(ingress, pullRequestBody(), { 'x-github-delivery': id });

    expect([first.status, again.status, other.status]).toEqual([202, 200, 409]);
    expect(again.body).toMatchObject({ duplicate: true, jobs: first.body['jobs'] });
    expect(await rowsOf(id)).toHaveLength(1);
  });

  test('of 25 MiB is stored', async () => {
    const id = randomUUID();
    const [before = '', after = ''] = pullRequestBody({}, { padding: '@' }).split('@');
    const body = `${before}${'x'.repeat(26_214_400 - before.length - after.length)}${after}`;
    expect((await post(ingress, body, { 'x-github-delivery': id })).status).toBe(202);
    const [row] = await rowsOf(id);
    expect(createHash('sha256').update(row!.body).digest('hex')).toBe(
      createHash('sha256').update(body).digest('hex'),
    );
  });

  test('that the database cannot take now is 503, to be sent again', async () => {
    const away = new DeliveryLog({ databaseUrl: 'postgres://nobody@127.0.0.1:1/none', logger });
    const { door, close } = await openDoor({ deliveryLog: away });
    const lonely = await startIngress({ door, plan: () => [planned], storeDeadlineMs: 300 });
    const { status, headers } = await post(lonely, pullRequestBody());
    await lonely.close();
    await close();
    await away.close();

    expect(status).toBe(503);
    expect(headers.get('retry-after')).toBe('5');
  });
});

test('whatever authentic payload comes, Postgres takes it', async () => {
  const strings = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\u0000', '\ud800', '\udfff\ud800', '🎉', "'; drop table x --"),
  );
  await fc.assert(
    fc.asyncProperty(strings, strings, fc.jsonValue(), async (title, login, rest) => {
      const body = JSON.stringify({ ...pullRequestPayload({ title }), sender: { login }, rest });
      const { status } = await post(ingress, body);
      expect(status).toBe(202);
    }),
    { numRuns: 100 },
  );
});

describe.skipIf(!haveFixtures)(`real payloads${fixturesNote}`, () => {
  test.each(fixtures('github'))('$id is stored', async ({ file, event_header: { value } }) => {
    const id = randomUUID();
    const body = readFixture(file);
    const { status } = await post(ingress, body, {
      'x-github-event': value,
      'x-github-delivery': id,
    });
    expect(status).toBe(202);
    expect((await rowsOf(id))[0]?.body.equals(body)).toBe(true);
  });
});
