import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { latestTime, nextTime } from '../../src/dispatch/cron-times.ts';
import { pauseSchedule, resumeSchedule } from '../../src/dispatch/schedule-control.ts';
import { Schedules } from '../../src/dispatch/schedules.ts';
import { Declaration } from '../../src/workers/declaration.ts';
import { eventually } from '../support/eventually.ts';
import { request } from '../support/jobs.ts';
import { Ledger, silent } from './support.ts';

let ledger: Ledger;
beforeAll(async () => {
  ledger = await Ledger.open();
});
beforeEach(async () => {
  await ledger.wipe();
});
afterAll(async () => {
  await ledger.close();
});

const leaseMs = 60_000;
const schedules = () =>
  new Schedules({
    database: ledger.database,
    door: ledger.door,
    counts: ledger.counts,
    leaseMs,
    clock: ledger.clock,
    logger: silent,
  });

const job = { ...request({ workflow: 'report' }), deliveryId: undefined };
const nightly = {
  workflow: 'report',
  name: 'nightly',
  cron: '30 2 * * *',
  timeZone: 'Europe/Berlin',
  job,
};

/** A worker that is alive, the later the newer. */
async function worker(id: string, ...declared: readonly object[]): Promise<void> {
  await ledger.database.query({
    text: `insert into dispatch.declarations (id, workflows, schedules) values ($1, $2, $3)`,
    values: [id, ['report'], JSON.stringify(declared)],
  });
}

async function at(time: string): Promise<void> {
  ledger.now = new Date(time);
  await schedules().runOnce();
}

/** The times for which jobs were started, in order. */
async function started(): Promise<readonly string[]> {
  const rows = await ledger.rows<{ id: string }>(
    `select data->'trigger'->>'deliveryId' as id from log.events order by position`,
  );
  return rows.map(({ id }) => id.replace('nightly ', ''));
}

const known = (): Promise<readonly object[]> =>
  ledger.rows('select name, cron from dispatch.schedules order by name');

describe('a time that comes each night', () => {
  test.each([
    ['2026-03-28T12:00:00Z', '2026-03-29T01:00:00.000Z', 'is the jump on the day without it'],
    ['2026-03-29T01:00:00Z', '2026-03-30T00:30:00.000Z', 'comes once on that day'],
    ['2026-10-24T12:00:00Z', '2026-10-25T00:30:00.000Z', 'is the first of two'],
    ['2026-10-25T00:30:00Z', '2026-10-26T01:30:00.000Z', 'comes once on the day with two'],
    ['2026-10-25T00:45:00Z', '2026-10-26T01:30:00.000Z', 'does not come again in between'],
  ])('after %s: %s %s', (now, next) => {
    expect(nextTime(nightly, new Date(now))?.toISOString()).toBe(next);
  });

  test('is the latest from its own moment on', () => {
    const time = new Date('2026-10-25T00:30:00Z');
    expect(latestTime(nightly, time)).toEqual(time);
    expect(latestTime(nightly, new Date(time.getTime() - 1))?.toISOString()).toBe(
      '2026-10-24T00:30:00.000Z',
    );
  });

  test('goes on evenly when it comes each hour', () => {
    const hourly = { cron: '0 * * * *', timeZone: 'Europe/Berlin' };
    for (const day of ['2026-03-28T22:00:00Z', '2026-10-24T22:00:00Z']) {
      let time = new Date(day);
      for (let hours = 0; hours < 6; hours++) {
        const next = nextTime(hourly, time);
        expect(next?.getTime()).toBe(time.getTime() + 3_600_000);
        if (next) time = next;
      }
    }
  });
});

describe('a schedule', () => {
  test('starts a job at its time, with what its workflow says', async () => {
    await worker('w', nightly);
    await at('2026-11-20T12:00:00Z');
    expect(await started()).toEqual([]);
    await at('2026-11-21T01:29:59Z');
    expect(await started()).toEqual([]);
    await at('2026-11-21T01:30:00Z');
    await at('2026-11-21T01:30:01Z');
    expect(await started()).toEqual(['2026-11-21T01:30:00.000Z']);
    const [row] = await ledger.rows<{ last_job_id: string }>('select * from dispatch.schedules');
    expect(await ledger.events(row?.last_job_id ?? '')).toMatchObject([
      { type: 'JobRequested', data: { workflow: 'report', deliveryId: null } },
    ]);
    expect(row).toMatchObject({ next_at: new Date('2026-11-22T01:30:00Z') });
  });

  test('says when it is due, and looks for new ones before', async () => {
    await worker('w', nightly);
    await at('2026-11-20T12:00:00Z');
    expect(await schedules().runOnce()).toBe(5_000);
    ledger.now = new Date('2026-11-21T01:29:57Z');
    expect(await schedules().runOnce()).toBe(3_000);
  });

  test('makes up for the latest of the times that an outage hid', async () => {
    await worker('w', nightly);
    await at('2026-11-20T12:00:00Z');
    await at('2026-11-25T12:00:00Z');
    expect(await started()).toEqual(['2026-11-25T01:30:00.000Z']);
    await at('2026-11-26T01:30:00Z');
    expect(await started()).toHaveLength(2);
  });

  test('starts one job at each time, though two dispatchers follow it and one dies of it', async () => {
    await worker('w', nightly);
    await at('2026-11-20T12:00:00Z');
    ledger.now = new Date('2026-11-21T01:30:00Z');
    await Promise.all([schedules().runOnce(), schedules().runOnce()]);
    expect(await started()).toHaveLength(1);
    await ledger.rows(`update dispatch.schedules set next_at = '2026-11-21T01:30:00Z'`);
    await schedules().runOnce();
    expect(await started()).toHaveLength(1);
  });

  test('that is paused starts nothing, and goes on with what comes after', async () => {
    await worker('w', nightly);
    await at('2026-11-20T12:00:00Z');
    expect(await pauseSchedule(ledger.database, nightly, 'anna')).toBe(true);
    expect(await pauseSchedule(ledger.database, nightly, 'bert')).toBe(true);
    expect(await ledger.rows('select paused_by from dispatch.schedules')).toEqual([
      { paused_by: 'anna' },
    ]);
    await at('2026-11-22T12:00:00Z');
    expect(await resumeSchedule(ledger.database, nightly)).toBe(true);
    await at('2026-11-22T12:01:00Z');
    expect(await started()).toEqual([]);
    await at('2026-11-23T01:30:00Z');
    expect(await started()).toEqual(['2026-11-23T01:30:00.000Z']);
    expect(await pauseSchedule(ledger.database, { workflow: 'x', name: 'y' }, 'anna')).toBe(false);
    expect(await resumeSchedule(ledger.database, { workflow: 'x', name: 'y' })).toBe(false);
  });

  test('that cannot be followed does not hold up the others', async () => {
    await worker('w', { ...nightly, name: 'a', cron: 'never' }, nightly);
    await at('2026-11-20T12:00:00Z');
    await at('2026-11-21T01:30:00Z');
    expect(await started()).toHaveLength(1);
  });
});

describe('of two versions of the workers', () => {
  const old = { ...nightly, name: 'old' };
  const gone = (id: string) => ledger.rows(`delete from dispatch.declarations where id = '${id}'`);

  test('both have their schedules, and what the newer has not goes with the older', async () => {
    await worker('v1', nightly, old);
    await at('2026-11-20T12:00:00Z');
    await worker('v2', { ...nightly, cron: '0 4 * * *' });
    await at('2026-11-20T12:01:00Z');
    expect(await known()).toEqual([
      { name: 'nightly', cron: '0 4 * * *' },
      { name: 'old', cron: '30 2 * * *' },
    ]);
    await gone('v1');
    await at('2026-11-20T12:02:00Z');
    expect(await known()).toEqual([{ name: 'nightly', cron: '0 4 * * *' }]);
  });

  test('none is there for a while: the schedules wait, and nothing is lost', async () => {
    await worker('v1', nightly);
    await at('2026-11-20T12:00:00Z');
    await gone('v1');
    await at('2026-11-21T12:00:00Z');
    expect(await started()).toEqual([]);
    await worker('v2', nightly);
    await at('2026-11-21T13:00:00Z');
    expect(await started()).toEqual(['2026-11-21T01:30:00.000Z']);
  });

  test('one that fell silent counts no longer', async () => {
    await worker('v1', nightly, old);
    await at('2026-11-20T12:00:00Z');
    await ledger.rows(
      `update dispatch.declarations set last_seen_at = last_seen_at - interval '61 s'`,
    );
    await worker('v2', nightly);
    await at('2026-11-20T12:01:00Z');
    expect(await known()).toEqual([{ name: 'nightly', cron: '30 2 * * *' }]);
  });
});

test('a worker declares its workflows for as long as it runs', async () => {
  const stop = new AbortController();
  const { database } = ledger;
  const running = new Declaration({
    database,
    leaseMs,
    workflows: ['report', 'other'],
    schedules: [nightly],
    logger: silent,
  }).run(stop.signal);
  await eventually(async () => {
    const rows = await ledger.rows('select workflows, schedules from dispatch.declarations');
    expect(rows).toMatchObject([
      { workflows: ['report', 'other'], schedules: [{ name: 'nightly' }] },
    ]);
  });
  stop.abort();
  await running;
  expect(await ledger.rows('select 1 from dispatch.declarations')).toEqual([]);
});
