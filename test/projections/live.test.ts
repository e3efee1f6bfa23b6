import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { raiseEpoch } from '../../src/event-store/checkpoint.ts';
import { newId } from '../../src/platform/ids.ts';
import { PROJECTIONS } from '../../src/projections/catalog.ts';
import {
  listProjections,
  pauseProjection,
  projectionLags,
  resumeProjection,
  waitForPosition,
} from '../../src/projections/control.ts';
import { retryPoison, skipPoison } from '../../src/projections/drain-poison.ts';
import { listPoison } from '../../src/projections/poison.ts';
import type { Projection } from '../../src/projections/projection.ts';
import { type Leader, claim } from '../../src/projections/claim.ts';
import { rebuild } from '../../src/projections/rebuild.ts';
import { projectorName } from '../../src/projections/shares.ts';
import * as a from '../support/jobs.ts';
import { FaultyDatabase, Killed } from './faulty-database.ts';
import { Ledger } from './support.ts';

let ledger: Ledger;
beforeEach(async () => {
  ledger = await Ledger.open();
});
afterEach(() => ledger.close());

const never = new AbortController().signal;

const statusOf = async (name: string) =>
  (await listProjections(ledger.database)).find((each) => each.name === name && each.live);

/** Some jobs, each with a few events. */
async function appendJobs(count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, () =>
      ledger.append(newId(), a.requested(), a.started(), a.stepCompleted('one'), a.completed()),
    ),
  );
}

/** Whether the rows are what the whole log makes, each event counted once. */
async function expectExact(): Promise<void> {
  const { database, store } = ledger;
  const results = await rebuild({
    names: [],
    database,
    store,
    verify: true,
    shadow: true,
    fresh: true,
  });
  expect(results.map(({ name, outcome, different }) => ({ name, outcome, different }))).toEqual(
    PROJECTIONS.map(({ name }) => ({ name, outcome: 'compared', different: [] })),
  );
}

describe('exactly once', () => {
  test.each([0, 1, 2, 3, 4, 5, 'after-commit'] as const)(
    '38 checkpoint-and-rows-commit-together, also when the process dies at moment %s',
    async (dieAt) => {
      const faulty = new FaultyDatabase(ledger.url);
      await appendJobs(3);
      faulty.dieAt = dieAt;
      await expect(ledger.live({ database: faulty }).round()).rejects.toBeInstanceOf(Killed);
      await faulty.close();
      const position = dieAt === 'after-commit' ? 12n : 0n;
      expect(await statusOf('jobs')).toMatchObject({ position });
      expect(await ledger.rows('select from read.jobs')).toHaveLength(
        dieAt === 'after-commit' ? 3 : 0,
      );
      await ledger.catchUp();
      await expectExact();
    },
  );

  test('39 C two-instances-one-effect', { timeout: 60_000 }, async () => {
    for (let round = 0; round < 50; round++) {
      await appendJobs(2);
      const both = [ledger.live({ pageSize: 2 + (round % 7) }), ledger.live({ pageSize: 3 })];
      await Promise.all(
        both.map(async (live) => {
          while (await live.round());
        }),
      );
    }
    expect(await ledger.rows('select sum(requested)::int as n from read.job_stats')).toEqual([
      { n: 100 },
    ]);
    await expectExact();
  });

  test('40 zombie-after-pause-cannot-commit, and leads no more', async () => {
    const [old, next] = [new FaultyDatabase(ledger.url), new FaultyDatabase(ledger.url)];
    const leads = async () => {
      const leaders = new Map<string, Leader>();
      for (const { name } of PROJECTIONS) {
        const lock = projectorName(name);
        leaders.set(name, { name: lock, epoch: await raiseEpoch(ledger.database, lock) });
      }
      return leaders;
    };
    await appendJobs(2);
    const zombie = ledger.live({ database: old, leaders: await leads(), pageSize: 3 });
    await zombie.round();

    const thawOld = old.freeze();
    const stuck = zombie.round();
    await old.reached;
    // The next leader stands at the same place and has moved nothing yet, so it is for the epoch alone to tell them apart.
    const thawNext = next.freeze();
    const leading = ledger.live({ database: next, leaders: await leads() }).round();
    await next.reached;
    const before = await ledger.hashes();
    thawOld();
    await stuck;
    expect(await ledger.hashes()).toEqual(before);
    expect(zombie.taken.get('jobs')).toBe(3);
    expect(await zombie.round()).toBe(false);
    expect(await ledger.hashes()).toEqual(before);

    thawNext();
    await leading;
    expect(await statusOf('jobs')).toMatchObject({ position: 8n });
    await old.close();
    await next.close();
    await expectExact();
  });
});

describe('52 waitFor-position', () => {
  test('waits until the live projection has seen the position', async () => {
    const position = await ledger.append(newId(), a.requested());
    const seen = waitForPosition(ledger.database, 'jobs', position, {
      timeoutMs: 10_000,
      signal: never,
    });
    await ledger.catchUp();
    expect(await seen).toBe(true);
  });

  test('gives up after its time, and when it is told to', async () => {
    const options = { timeoutMs: 60, signal: never };
    expect(await waitForPosition(ledger.database, 'jobs', 1n, options)).toBe(false);
    const signal = AbortSignal.abort();
    expect(await waitForPosition(ledger.database, 'jobs', 1n, { timeoutMs: 60_000, signal })).toBe(
      false,
    );
  });
});

describe('53 the lag', () => {
  test('is exact, and zero when there is nothing to do', async () => {
    expect(await projectionLags(ledger.database)).toEqual(
      new Map([
        ['jobs', 0],
        ['job_stats', 0],
      ]),
    );
    await ledger.append(newId(), a.requested(), a.started(), a.completed());
    expect(await projectionLags(ledger.database)).toEqual(
      new Map([
        ['jobs', 3],
        ['job_stats', 3],
      ]),
    );
    await ledger.live({ pageSize: 2 }).round();
    expect(await projectionLags(ledger.database)).toEqual(
      new Map([
        ['jobs', 1],
        ['job_stats', 1],
      ]),
    );
    expect((await statusOf('jobs'))?.lagSeconds).toBeGreaterThan(0);
    await ledger.catchUp();
    expect(await projectionLags(ledger.database)).toEqual(
      new Map([
        ['jobs', 0],
        ['job_stats', 0],
      ]),
    );
    expect(await statusOf('jobs')).toMatchObject({ position: 3n, head: 3n, lagSeconds: 0 });
  });

  test('is zero after events that no projection wants', async () => {
    const data = { event: 'done', key: null, payload: null };
    await ledger.append(newId(), { type: 'SignalReceived', at: a.AT, data });
    const live = await ledger.catchUp();
    expect(await statusOf('job_stats')).toMatchObject({ position: 1n, lag: 0 });
    expect(live.unknownEvents).toBe(0);
  });
});

describe('49 an event of a type that this program does not know', () => {
  const unknown = { type: 'JobDelegated', at: a.AT, data: {} };

  test('is passed over by what is live, and counted', async () => {
    const id = newId();
    await ledger.append(id, a.requested(), a.started());
    await ledger.append(id, unknown);
    await ledger.append(id, a.completed());
    const live = await ledger.catchUp();
    expect(live.unknownEvents).toBe(1);
    expect(await ledger.rows('select status from read.jobs')).toEqual([{ status: 'COMPLETED' }]);
  });

  test('stops a rebuild, which says why', async () => {
    await ledger.append(newId(), a.requested(), a.started());
    await ledger.append(newId(), unknown);
    const { database, store } = ledger;
    await expect(rebuild({ names: ['jobs'], database, store })).rejects.toThrow(
      'Event 3 is a JobDelegated, which this program does not know',
    );
    const building = (await listProjections(database)).find(({ live }) => !live);
    expect(building).toMatchObject({ name: 'jobs', status: 'FAILED' });
    expect(building?.error).toContain('JobDelegated');
  });
});

describe('pausing', () => {
  test('stops one projection where it is, and resuming lets it catch up', async () => {
    await appendJobs(1);
    const live = await ledger.catchUp();
    await pauseProjection(ledger.database, 'jobs');
    await appendJobs(1);
    while (await live.round());
    expect(await statusOf('jobs')).toMatchObject({ status: 'PAUSED', position: 4n, lag: 4 });
    expect(await statusOf('job_stats')).toMatchObject({ status: 'LIVE', position: 8n });

    await resumeProjection(ledger.database, 'jobs');
    await ledger.catchUp();
    expect(await statusOf('jobs')).toMatchObject({ status: 'LIVE', lag: 0 });
    await expectExact();
  });

  test('is over for a page under way: it commits nothing after the pause', async () => {
    const faulty = new FaultyDatabase(ledger.url);
    await appendJobs(1);
    const thaw = faulty.freeze();
    const stuck = ledger.live({ database: faulty }).round();
    await faulty.reached;
    await pauseProjection(ledger.database, 'jobs');
    thaw();
    await stuck.catch(() => false);
    await faulty.close();
    expect(await statusOf('jobs')).toMatchObject({ status: 'PAUSED', position: 0n });
  });

  test('gives nobody the right to move it, also one who has just seen it live', async () => {
    const [projection] = PROJECTIONS;
    if (!projection) throw new Error('no projections');
    const asLive = { projection, generation: 1, state: 'LIVE' } as const;
    expect(await claim(ledger.database, asLive)).toMatchObject({ position: 0n });
    await pauseProjection(ledger.database, 'jobs');
    expect(await claim(ledger.database, asLive)).toBeNull();
  });

  test('needs a projection of that name', async () => {
    await expect(pauseProjection(ledger.database, 'nothing')).rejects.toThrow(
      'There is no projection nothing',
    );
  });
});

describe('48 an event that a projection cannot take', () => {
  const poison = { tries: 2, firstMs: 1, maxMs: 2 };
  const [jobs, ...others] = PROJECTIONS;
  if (!jobs) throw new Error('no projections');
  /** Cannot take the start of a job. */
  const frail: Projection = {
    ...jobs,
    write: (page, ...rest) => {
      if (page.some(({ type }) => type === 'JobStarted')) throw new Error('too hot');
      return jobs.write(page, ...rest);
    },
  };
  /** Gives Postgres what it refuses. */
  const wrong: Projection = {
    ...jobs,
    write: (page, ...rest) =>
      page.some(({ type }) => type === 'JobStarted')
        ? [{ text: 'select 1 / 0', values: [] }]
        : jobs.write(page, ...rest),
  };

  test.each([
    ['its code throws', frail, 'too hot'],
    ['Postgres refuses', wrong, 'division by zero'],
  ])(
    'is found among others, and stops that projection alone, when %s',
    async (_, broken, reason) => {
      for (let job = 0; job < 5; job++) await ledger.append(newId(), a.requested());
      const id = newId();
      await ledger.append(id, a.requested(), a.started(), a.completed());
      const live = ledger.live({ projections: [broken, ...others], poison });
      const stopped = async () => (await statusOf('jobs'))?.status === 'FAILED';
      while (!(await stopped())) await live.round();

      expect(await statusOf('jobs')).toMatchObject({
        position: 6n,
        error: `jobs cannot take event 7 (JobStarted of ${id}): ${reason}`,
      });
      while (await live.round());
      expect(await statusOf('job_stats')).toMatchObject({ status: 'LIVE', lag: 0 });

      await resumeProjection(ledger.database, 'jobs');
      await ledger.catchUp();
      expect(await statusOf('jobs')).toMatchObject({ status: 'LIVE', lag: 0, error: null });
      await expectExact();
    },
  );
});

describe('48 poison', () => {
  const [jobs, ...others] = PROJECTIONS;
  if (!jobs) throw new Error('no projections');
  const poison = { tries: 2, firstMs: 1, maxMs: 2, policy: 'quarantine' } as const;

  /** Cannot take steps of these names. */
  const refusing = (...names: readonly string[]): Projection => ({
    ...jobs,
    write: (page, ...rest) => {
      for (const { type, data } of page) {
        if (type === 'JobStepCompleted' && names.includes((data as { name: string }).name)) {
          throw new Error(`no ${(data as { name: string }).name}`);
        }
      }
      return jobs.write(page, ...rest);
    },
  });

  const stepsOf = async (id: string) =>
    (
      await ledger.rows(`select name from read.job_steps where job_id = '${id}' order by ordinal`)
    ).map(({ name }) => name);

  /** A job with these steps, and another one behind it; followed by a projection that refuses some. */
  async function poisoned(steps: readonly string[], ...refused: readonly string[]) {
    const id = newId();
    await ledger.append(
      id,
      a.requested(),
      a.started(),
      ...steps.map((name) => a.stepCompleted(name)),
    );
    const other = newId();
    await ledger.append(other, a.requested(), a.started(), a.stepCompleted('fine'));
    const live = ledger.live({ projections: [refusing(...refused), ...others], poison });
    const done = async () => ((await statusOf('jobs'))?.lag ?? 1) === 0;
    while (!(await done())) await live.round();
    return { id, other, live };
  }

  const onlyPoison = async () => {
    const [one, ...more] = await listPoison(ledger.database);
    if (!one || more.length > 0) throw new Error('not one poisoned event');
    return one;
  };

  const withAll = (...refused: readonly string[]) => ({
    database: ledger.database,
    store: ledger.store,
    projections: [refusing(...refused), ...others],
  });

  test('quarantines the key and keeps its order: what comes later waits behind it', async () => {
    const { id, other, live } = await poisoned(['one', 'bad', 'three'], 'bad');
    expect(await statusOf('jobs')).toMatchObject({ status: 'LIVE', lag: 0 });
    expect(await stepsOf(id)).toEqual(['one']);
    expect(await stepsOf(other)).toEqual(['fine']);
    expect(await onlyPoison()).toMatchObject({
      name: 'jobs',
      position: 4n,
      streamId: id,
      type: 'JobStepCompleted',
      state: 'SET_ASIDE',
      error: 'no bad',
      tries: 1,
    });
    await ledger.append(id, a.stepCompleted('four'));
    while (await live.round());
    expect(await stepsOf(id)).toEqual(['one']);
  });

  test('retry drains what waits, in order, while the projection goes on', async () => {
    const { id, live } = await poisoned(['one', 'bad', 'three'], 'bad');
    expect(await retryPoison(await onlyPoison(), withAll())).toEqual({ events: 2, left: null });
    expect(await stepsOf(id)).toEqual(['one', 'bad', 'three']);
    expect(await listPoison(ledger.database)).toEqual([]);
    await ledger.append(id, a.stepCompleted('four'));
    while (await live.round());
    expect(await stepsOf(id)).toEqual(['one', 'bad', 'three', 'four']);
    await expectExact();
  });

  test('retry that fails leaves all as it is, and counts', async () => {
    const { id } = await poisoned(['one', 'bad', 'three'], 'bad');
    const { events, left } = await retryPoison(await onlyPoison(), withAll('bad'));
    expect([events, left?.position, left?.tries]).toEqual([0, 4n, 2]);
    expect(await stepsOf(id)).toEqual(['one']);
  });

  test('retry goes as far as it can, and waits at the next one', async () => {
    const { id } = await poisoned(['one', 'bad', 'three', 'worse', 'five'], 'bad', 'worse');
    const first = await retryPoison(await onlyPoison(), withAll('worse'));
    expect([first.events, first.left?.position]).toEqual([2, 6n]);
    expect(await stepsOf(id)).toEqual(['one', 'bad', 'three']);
    expect(await onlyPoison()).toMatchObject({ position: 6n, error: 'no worse' });
    expect(await retryPoison(await onlyPoison(), withAll())).toMatchObject({ left: null });
    await ledger.catchUp();
    await expectExact();
  });

  test('skip passes the one event over for good, and drains the rest', async () => {
    const { id, live } = await poisoned(['one', 'bad', 'three'], 'bad');
    expect(await skipPoison(await onlyPoison(), withAll('bad'))).toEqual({ events: 1, left: null });
    expect(await stepsOf(id)).toEqual(['one', 'three']);
    await ledger.append(id, a.stepCompleted('four'));
    while (await live.round());
    expect(await stepsOf(id)).toEqual(['one', 'three', 'four']);
    expect(await onlyPoison()).toMatchObject({ state: 'SKIPPED', position: 4n });
    await expect(retryPoison(await onlyPoison(), withAll())).rejects.toThrow('passed event 4 over');
  });

  test('pauses by default, and skip lets the projection go on behind the event', async () => {
    const id = newId();
    await ledger.append(
      id,
      a.requested(),
      a.started(),
      a.stepCompleted('bad'),
      a.stepCompleted('b'),
    );
    const options = {
      projections: [refusing('bad'), ...others],
      poison: { tries: 1, firstMs: 1, maxMs: 1 },
    };
    const live = ledger.live(options);
    while ((await statusOf('jobs'))?.status !== 'FAILED') await live.round();
    expect(await onlyPoison()).toMatchObject({ state: 'STOPPED', position: 3n, error: 'no bad' });
    await skipPoison(await onlyPoison(), withAll('bad'));
    await ledger.catchUp(options);
    expect(await stepsOf(id)).toEqual(['b']);
    expect(await statusOf('jobs')).toMatchObject({ status: 'LIVE', lag: 0, error: null });
  });

  test('what stopped goes on from there when it is tried again', async () => {
    const id = newId();
    await ledger.append(id, a.requested(), a.started(), a.stepCompleted('bad'));
    const live = ledger.live({
      projections: [refusing('bad'), ...others],
      poison: { tries: 1, firstMs: 1, maxMs: 1 },
    });
    while ((await statusOf('jobs'))?.status !== 'FAILED') await live.round();
    await retryPoison(await onlyPoison(), withAll());
    expect(await listPoison(ledger.database)).toEqual([]);
    await ledger.catchUp();
    expect(await stepsOf(id)).toEqual(['bad']);
    await expectExact();
  });

  test('of a generation goes with it: a rebuild takes every event', async () => {
    const { id } = await poisoned(['one', 'bad', 'three'], 'bad');
    await rebuild({ names: ['jobs'], database: ledger.database, store: ledger.store });
    expect(await stepsOf(id)).toEqual(['one', 'bad', 'three']);
    expect(await listPoison(ledger.database)).toEqual([]);
    await expectExact();
  });
});
