import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { isSilent, silenceOf } from '../../../src/ingress/upkeep/silence.ts';
import { Database } from '../../../src/platform/database.ts';
import { sql } from '../../../src/platform/sql.ts';
import { createDatabase, type TestDatabase } from '../../support/database.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;
/** A Friday at noon. */
const NOW = new Date('2026-11-20T12:00:00Z');
let server: TestDatabase;
let database: Database;

beforeAll(async () => {
  server = await createDatabase();
  database = new Database(server.url, {
    max: 2,
    applicationName: 'test',
    logger: pino({ level: 'silent' }),
  });
});
afterAll(async () => {
  await database.close();
  await server.drop();
});
beforeEach(async () => {
  await database.query(sql`delete from ingress.deliveries`);
});

const ago = (ms: number) => new Date(NOW.getTime() - ms);

async function came(times: readonly Date[]): Promise<void> {
  await database.query(sql`
    insert into ingress.deliveries (id, received_at, source, provider, delivery_id, delivery_key, body_sha256,
      event, outcome, triggers, jobs, headers, body)
    select gen_random_uuid(), at, 'github', 'github', gen_random_uuid(), gen_random_uuid(), '', 'push', 'accepted',
      '[]', '[]', '{}', ''
    from unnest(${times}::timestamptz[]) as at`);
}

/** Every ten minutes in the hours of work, from Monday to Friday. */
const atWork = (at: Date) =>
  at.getUTCDay() >= 1 && at.getUTCDay() <= 5 && at.getUTCHours() >= 8 && at.getUTCHours() < 18;
const everyTenMinutes = (from: number, to: number): Date[] => {
  const times: Date[] = [];
  for (let ms = from; ms > to; ms -= HOUR / 6) times.push(ago(ms));
  return times;
};
const workWeeks = (weeks: number, to = 0): Date[] =>
  everyTenMinutes(weeks * WEEK, to).filter(atWork);

const silence = (now = NOW) => silenceOf(database, 'github', now);

test('a source that goes on as ever is not silent', async () => {
  await came(workWeeks(5));
  const now = await silence();
  expect(now.silentMs).toBe(HOUR / 6);
  expect(isSilent(now)).toBe(false);
});

test('a source that stopped in the hours of work is silent after as many usual gaps', async () => {
  await came(workWeeks(5, HOUR));
  expect(isSilent(await silence())).toBe(false);
  await database.query(sql`delete from ingress.deliveries where received_at >= ${ago(3 * HOUR)}`);
  const now = await silence();
  expect(now).toMatchObject({ usual: 19 });
  expect(isSilent(now)).toBe(true);
});

test('a night and a weekend are as silent as they always are', async () => {
  await came(workWeeks(5));
  const fridayEvening = new Date('2026-11-20T18:00:00Z');
  await came(everyTenMinutes(0, 12 - 6 * HOUR).filter(atWork));
  await came(
    Array.from({ length: 35 }, (_, n) => new Date(NOW.getTime() + (n * HOUR) / 6)).filter(
      (at) => at < fridayEvening,
    ),
  );
  const mondayMorning = new Date('2026-11-23T08:00:00Z');
  expect(isSilent(await silence(mondayMorning))).toBe(false);
  const mondayNoon = new Date('2026-11-23T12:00:00Z');
  expect(isSilent(await silence(mondayNoon))).toBe(true);
});

test('one week without work among four does not count, and does not hide a silence either', async () => {
  const holiday = (at: Date) => at < ago(2 * WEEK) || at > ago(WEEK);
  await came(workWeeks(5, 4 * HOUR).filter(holiday));
  expect(isSilent(await silence())).toBe(true);
});

test('a source that is dead for many weeks stays silent', async () => {
  await came(workWeeks(14, 9 * WEEK));
  expect(isSilent(await silence())).toBe(true);
});

test('a source that was never busy is not silent, however long nothing comes', async () => {
  await came([5, 4, 3, 2].map((weeks) => ago(weeks * WEEK)));
  expect(isSilent(await silence())).toBe(false);
});

test('of a new source nobody can say what is usual', async () => {
  expect(await silence()).toEqual({ source: 'github', lastAt: null, silentMs: 0, usual: null });
  await came(workWeeks(1.5, DAY));
  expect(await silence()).toMatchObject({ usual: null });
});
