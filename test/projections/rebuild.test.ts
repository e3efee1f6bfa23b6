import { setTimeout as sleep } from 'node:timers/promises';

import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { CheckpointLost } from '../../src/event-store/checkpoint.ts';
import { newId } from '../../src/platform/ids.ts';
import { PROJECTIONS } from '../../src/projections/catalog.ts';
import { cancelRebuild, listProjections, pauseProjection } from '../../src/projections/control.ts';
import { cutOver } from '../../src/projections/cut-over.ts';
import { createGeneration } from '../../src/projections/generations.ts';
import { claim } from '../../src/projections/claim.ts';
import { projectPage } from '../../src/projections/page.ts';
import { rebuild, rollback } from '../../src/projections/rebuild.ts';
import type { RebuildOptions } from '../../src/projections/rebuild-options.ts';
import type { RebuildProgress } from '../../src/projections/rebuild-progress.ts';
import * as a from '../support/jobs.ts';
import { FaultyDatabase } from './faulty-database.ts';
import { Ledger } from './support.ts';

let ledger: Ledger;
beforeEach(async () => {
  ledger = await Ledger.open();
});
afterEach(() => ledger.close());

const rebuilt = (options: Partial<RebuildOptions> = {}) =>
  rebuild({ names: ['jobs'], database: ledger.database, store: ledger.store, ...options });

/** A job of four events; gives its id. */
async function appendJob(): Promise<string> {
  const id = newId();
  await ledger.append(id, a.requested(), a.started(), a.stepCompleted('one'), a.completed());
  return id;
}

const appendJobs = (count: number) => Promise.all(Array.from({ length: count }, appendJob));

const generations = async () =>
  (await listProjections(ledger.database))
    .filter(({ name }) => name === 'jobs')
    .map(({ generation, status }) => [generation, status]);

const tables = async () =>
  (
    await ledger.rows(
      `select tablename from pg_tables where schemaname = 'projections' and tablename ~ '^jobs_' order by 1`,
    )
  ).map(({ tablename }) => tablename);

/** Follows the log until the answer is called. */
function followed(): () => Promise<void> {
  const stop = new AbortController();
  const following = (async () => {
    const live = ledger.live({ pageSize: 25 });
    while (!stop.signal.aborted) if (!(await live.round())) await sleep(1);
  })();
  return async () => {
    stop.abort();
    await following;
  };
}

async function expectExact(): Promise<void> {
  const results = await rebuilt({ names: [], verify: true, shadow: true, fresh: true });
  expect(results.map(({ different }) => different)).toEqual(PROJECTIONS.map(() => []));
}

describe('a rebuild', () => {
  test('makes the same rows in tables of its own, and keeps the old ones', async () => {
    await appendJobs(3);
    await ledger.catchUp();
    const before = await ledger.hashes();
    const [result] = await rebuilt({ verify: true });
    expect(result).toMatchObject({ outcome: 'swapped', verified: true, generation: 2, events: 12 });
    expect(await ledger.hashes()).toEqual(before);
    expect(await generations()).toEqual([
      [2, 'LIVE'],
      [1, 'RETIRED'],
    ]);
    await appendJobs(1);
    await ledger.catchUp();
    expect(await ledger.rows('select from read.jobs')).toHaveLength(4);
    expect(await ledger.rows('select from projections.jobs_1')).toHaveLength(3);
  });

  test('is followed at once by whoever followed the old one', async () => {
    await appendJobs(1);
    const live = await ledger.catchUp();
    await rebuilt();
    await appendJobs(1);
    while (await live.round());
    expect(await ledger.rows('select from read.jobs')).toHaveLength(2);
    expect(await ledger.rows('select from projections.jobs_1')).toHaveLength(1);
  });

  test('keeps one old generation and no more', async () => {
    await appendJobs(1);
    for (let round = 0; round < 3; round++) await rebuilt();
    expect(await generations()).toEqual([
      [4, 'LIVE'],
      [3, 'RETIRED'],
    ]);
    expect(await tables()).toEqual(['jobs_3', 'jobs_4']);
  });

  test(
    '43 44 while events come in loses none, and no reader sees less than before',
    { timeout: 60_000 },
    async () => {
      await appendJobs(20);
      await ledger.catchUp();
      const stopFollowing = followed();
      const done = new AbortController();
      const appended: string[] = [];
      const appending = (async () => {
        while (!done.signal.aborted) {
          appended.push(await appendJob());
          await sleep(5);
        }
      })();
      const reading = (async () => {
        let [jobs, position] = [20, 0];
        let reads = 0;
        while (!done.signal.aborted) {
          const [row] = await ledger.rows(
            'select count(*)::int as jobs, max(position)::int as position from read.jobs',
          );
          expect(row?.['jobs']).toBeGreaterThanOrEqual(jobs);
          expect(row?.['position']).toBeGreaterThanOrEqual(position);
          [jobs, position] = [Number(row?.['jobs']), Number(row?.['position'])];
          reads++;
        }
        return reads;
      })();
      for (let round = 0; round < 4; round++) {
        const [result] = await rebuilt({ pageSize: 50, verify: round % 2 === 0 });
        expect(result).toMatchObject({ outcome: 'swapped' });
      }
      done.abort();
      await appending;
      expect(await reading).toBeGreaterThan(20);
      await stopFollowing();
      await ledger.catchUp();
      expect(await ledger.rows('select from read.jobs')).toHaveLength(20 + appended.length);
      await expectExact();
    },
  );

  test('says how far it is', async () => {
    await appendJobs(10);
    await ledger.catchUp();
    const seen: RebuildProgress[] = [];
    await rebuilt({ pageSize: 8, verify: true, onProgress: (progress) => seen.push(progress) });
    expect(seen.filter(({ phase }) => phase === 'filling').map(({ percent }) => percent)).toEqual([
      20, 40, 60, 80, 100,
    ]);
    expect(seen[1]).toMatchObject({
      name: 'jobs',
      generation: 2,
      events: 16,
      position: 16n,
      target: 40n,
    });
    expect(seen[1]?.eventsPerSecond).toBeGreaterThan(0);
    expect(seen[1]?.secondsLeft).toBeGreaterThan(0);
    expect([...new Set(seen.map(({ phase }) => phase))]).toEqual([
      'filling',
      'indexing',
      'verifying',
      'done',
    ]);
  });

  test('shows others how fast it goes, while it goes', async () => {
    await appendJobs(5);
    const rates: unknown[] = [];
    const rateOf = async () => {
      const [row] = await ledger.rows(
        'select events_per_second as rate from read.projections where generation = 2',
      );
      rates.push(row?.['rate']);
    };
    const looks: Promise<void>[] = [];
    const onProgress = ({ position }: RebuildProgress) => {
      if (position === 20n) looks.push(rateOf());
    };
    await rebuilt({ pageSize: 5, onProgress, shadow: true });
    await Promise.all(looks);
    expect(rates[0]).toBeGreaterThan(0);
    await rateOf();
    expect(rates.at(-1)).toBeNull();
  });

  test('45 that was stopped leaves what is live alone, and the next one goes on from there', async () => {
    await appendJobs(10);
    await ledger.catchUp();
    const stop = new AbortController();
    const [stopped] = await rebuilt({
      pageSize: 10,
      signal: stop.signal,
      onProgress: ({ events }) => {
        if (events >= 20) stop.abort();
      },
    });
    if (!stopped) throw new Error('nothing was rebuilt');
    expect(stopped.outcome).toBe('stopped');
    expect(stopped.events).toBeLessThan(40);
    expect(stopped.position).toBe(BigInt(stopped.events));
    expect(await generations()).toEqual([
      [2, 'BUILDING'],
      [1, 'LIVE'],
    ]);
    const [resumed] = await rebuilt({ verify: true });
    expect(resumed).toMatchObject({
      outcome: 'swapped',
      verified: true,
      generation: 2,
      events: 40 - stopped.events,
    });
  });

  test('of several lets those behind catch up, and then goes on with all by shared pages', async () => {
    await appendJobs(5);
    await ledger.catchUp();
    const stop = new AbortController();
    const [first] = await rebuilt({
      pageSize: 4,
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    const results = await rebuilt({ names: [], pageSize: 8, verify: true });
    expect(results.map(({ name, outcome, events }) => ({ name, outcome, events }))).toEqual([
      { name: 'jobs', outcome: 'swapped', events: 20 - Number(first?.events) },
      { name: 'job_stats', outcome: 'swapped', events: 20 },
    ]);
  });

  test('45 that is cancelled leaves nothing', async () => {
    await appendJobs(2);
    await rebuilt({ shadow: true });
    await cancelRebuild(ledger.database, 'jobs');
    expect(await generations()).toEqual([[1, 'LIVE']]);
    expect(await tables()).toEqual(['jobs_1']);
    expect(await ledger.rows(`select from log.followers where name = 'projection:jobs:2'`)).toEqual(
      [],
    );
  });

  test('that another one takes over ends, and the other one finishes', async () => {
    await appendJobs(3);
    await ledger.catchUp();
    const faulty = new FaultyDatabase(ledger.url);
    const thaw = faulty.freeze();
    const first = rebuilt({ database: faulty, pageSize: 4 });
    await faulty.reached;
    const [second] = await rebuilt({ verify: true });
    thaw();
    await expect(first).rejects.toBeInstanceOf(CheckpointLost);
    expect(second).toMatchObject({ outcome: 'swapped', verified: true, generation: 2 });
    await faulty.close();
    await expectExact();
  });

  test('that was taken over cannot swap its generation in', async () => {
    const { database, store } = ledger;
    const [projection] = PROJECTIONS;
    if (!projection) throw new Error('no projections');
    const { generation } = await createGeneration(database, projection);
    const first = await claim(database, { projection, generation, state: 'BUILDING' });
    await claim(database, { projection, generation, state: 'BUILDING' });
    if (!first) throw new Error('not claimed');
    const options = { database, store, blue: 1, verify: false, shadow: false };
    await expect(cutOver(first, options)).rejects.toBeInstanceOf(CheckpointLost);
    expect(await generations()).toEqual([
      [2, 'BUILDING'],
      [1, 'LIVE'],
    ]);
  });

  test('that does not know where it stands, as it never heard of its last commit, looks before it is swapped in', async () => {
    const { database, store } = ledger;
    const [projection] = PROJECTIONS;
    if (!projection) throw new Error('no projections');
    const { generation } = await createGeneration(database, projection);
    const reader = await claim(database, { projection, generation, state: 'BUILDING' });
    if (!reader) throw new Error('not claimed');
    await appendJobs(1);
    await projectPage(database, [{ ...reader }], await store.readAll({ after: 0n, limit: 10 }));
    const options = { database, store, blue: 1, verify: false, shadow: false };
    await expect(cutOver(reader, options)).rejects.toThrow('has moved');
    expect(await generations()).toEqual([
      [2, 'BUILDING'],
      [1, 'LIVE'],
    ]);
  });

  test('that was cancelled does not go on in the tables of the next one', async () => {
    await appendJobs(3);
    await ledger.catchUp();
    const [first, second] = [new FaultyDatabase(ledger.url), new FaultyDatabase(ledger.url)];
    const thawFirst = first.freeze();
    const cancelled = rebuilt({ database: first });
    await first.reached;
    await cancelRebuild(ledger.database, 'jobs');
    const thawSecond = second.freeze();
    const next = rebuilt({ database: second, verify: true });
    await second.reached;
    thawFirst();
    await expect(cancelled).rejects.toBeInstanceOf(CheckpointLost);
    thawSecond();
    expect((await next)[0]).toMatchObject({ outcome: 'swapped', verified: true });
    await first.close();
    await second.close();
  });

  test.each([0, 2, 3, 'after-commit'] as const)(
    'goes on after it lost the database at moment %s',
    async (dieAt) => {
      await appendJobs(5);
      await ledger.catchUp();
      const faulty = new FaultyDatabase(ledger.url);
      faulty.dieAt = dieAt;
      const [result] = await rebuilt({ database: faulty, pageSize: 7, verify: true });
      expect(result).toMatchObject({ outcome: 'swapped', verified: true });
      expect(faulty.dieAt).toBeNull();
      await faulty.close();
    },
  );

  test('waits for a reader that holds the view, and lets others read meanwhile', async () => {
    await appendJobs(2);
    await ledger.catchUp();
    const reader = new Client({ connectionString: ledger.url });
    await reader.connect();
    await reader.query('begin; select count(*) from read.jobs');
    const rebuilding = rebuilt();
    const waiting = async () =>
      (
        await ledger.rows(
          `select from pg_locks where not granted and relation = 'read.jobs'::regclass`,
        )
      ).length > 0;
    while (!(await waiting())) await sleep(5);
    expect(await ledger.rows('select from read.jobs')).toHaveLength(2);
    await reader.query('commit');
    expect((await rebuilding)[0]).toMatchObject({ outcome: 'swapped' });
    await reader.end();
  });

  test('of rows that differ is not swapped in, and says where', async () => {
    await appendJobs(2);
    await ledger.catchUp();
    await ledger.rows(`update projections.job_steps_1 set output = '"tampered"' where ordinal = 3`);
    const [result] = await rebuilt({ verify: true });
    expect(result).toMatchObject({
      outcome: 'different',
      verified: false,
      different: ['job_steps'],
    });
    expect(await generations()).toEqual([
      [2, 'FAILED'],
      [1, 'LIVE'],
    ]);
    const [again] = await rebuilt();
    expect(again).toMatchObject({ outcome: 'swapped', generation: 3 });
    await expectExact();
  });

  test('as a shadow compares and leaves what is live; the next one swaps it in', async () => {
    await appendJobs(2);
    await ledger.catchUp();
    const [shadow] = await rebuilt({ shadow: true, verify: true });
    expect(shadow).toMatchObject({ outcome: 'compared', verified: true, generation: 2 });
    expect(await generations()).toEqual([
      [2, 'BUILDING'],
      [1, 'LIVE'],
    ]);
    const [next] = await rebuilt();
    expect(next).toMatchObject({ outcome: 'swapped', generation: 2, events: 0 });
  });

  test('mends a projection that was paused', async () => {
    await appendJobs(1);
    await pauseProjection(ledger.database, 'jobs');
    await rebuilt();
    await ledger.catchUp();
    expect(await generations()).toEqual([
      [2, 'LIVE'],
      [1, 'RETIRED'],
    ]);
    expect(await ledger.rows('select from read.jobs')).toHaveLength(1);
  });

  test('needs a projection of that name', async () => {
    await expect(rebuilt({ names: ['nothing'] })).rejects.toThrow(
      'There is no projection nothing: there are jobs, job_stats',
    );
  });
});

describe('46 a rollback', () => {
  const back = () => rollback('jobs', { database: ledger.database, store: ledger.store });

  test('shows the generation before, with what has happened since', async () => {
    await appendJobs(1);
    await ledger.catchUp();
    await rebuilt();
    await ledger.rows(`update projections.jobs_2 set title = 'spoilt'`);
    await appendJobs(1);
    await ledger.catchUp();
    expect(await back()).toMatchObject({ outcome: 'swapped', generation: 1, events: 4 });
    expect(await generations()).toEqual([
      [2, 'RETIRED'],
      [1, 'LIVE'],
    ]);
    expect(await ledger.rows('select distinct title from read.jobs')).toEqual([
      { title: 'Add a thing' },
    ]);
    await appendJobs(1);
    await ledger.catchUp();
    expect(await ledger.rows('select from read.jobs')).toHaveLength(3);
    await expectExact();
  });

  test('goes to the one that was live before, not to the newest', async () => {
    await appendJobs(1);
    await rebuilt();
    await back();
    await rebuilt();
    expect(await generations()).toEqual([
      [3, 'LIVE'],
      [1, 'RETIRED'],
    ]);
    expect(await back()).toMatchObject({ generation: 1 });
  });

  test('needs a generation to go back to, written by this version', async () => {
    await expect(back()).rejects.toThrow('jobs has no earlier generation to go back to');
    await rebuilt();
    await ledger.rows('update projections.generations set version = 7 where generation = 1');
    await expect(back()).rejects.toThrow('run the rollback with the release that wrote it');
  });
});
