import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type JobView, evolveJobView } from '../../src/events/job-view.ts';
import type { JobEvent } from '../../src/events/job.ts';
import { newId } from '../../src/platform/ids.ts';
import { rebuild } from '../../src/projections/rebuild.ts';
import { FaultyDatabase, Killed } from './faulty-database.ts';
import { type Happened, histories } from './histories.ts';
import { Ledger } from './support.ts';

let ledger: Ledger;
let faulty: FaultyDatabase;
beforeAll(async () => {
  ledger = await Ledger.open();
  faulty = new FaultyDatabase(ledger.url);
});
afterAll(async () => {
  await faulty.close();
  await ledger.close();
});

async function appendAll(happened: readonly Happened[], ids: readonly string[]): Promise<void> {
  for (const { job, events } of happened) await ledger.append(ids[job] ?? '', ...events);
}

/** Follows the log with a new process after each death. */
async function followWithDeaths(
  deaths: readonly (number | 'after-commit')[],
  pageSize: number,
): Promise<void> {
  for (const dieAt of [...deaths, null]) {
    faulty.dieAt = dieAt;
    const live = ledger.live({ database: faulty, pageSize });
    try {
      while (await live.round());
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
    }
  }
}

/** What the fold itself says of a job. */
async function foldOf(id: string): Promise<JobView | null> {
  const events = await ledger.store.readStream<JobEvent>(id);
  return events.reduce<JobView | null>(evolveJobView, null);
}

async function storedView(id: string): Promise<JobView | null> {
  const [row] = await ledger.rows(`select view from read.jobs where job_id = '${id}'`);
  if (!row) return null;
  const steps = await ledger.rows(`
    select name, attempt, started_at, finished_at, output, status, error from read.job_steps
    where job_id = '${id}' order by ordinal`);
  return {
    ...(row['view'] as JobView),
    steps: steps.map((step) => ({
      name: String(step['name']),
      attempt: Number(step['attempt']),
      startedAt: (step['started_at'] as Date).toISOString(),
      finishedAt: (step['finished_at'] as Date).toISOString(),
      output: step['output'] as JobView['result'],
      status: step['status'] as 'COMPLETED' | 'FAILED',
      error: step['error'] as string | null,
    })),
  };
}

const death = fc.oneof(fc.nat({ max: 7 }), fc.constant('after-commit' as const));

describe('42 47 replay equals live', () => {
  test(
    'for any histories, page sizes, slots and moments of death',
    { timeout: 120_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(
          histories(4, 40),
          fc.integer({ min: 1, max: 30 }),
          fc.array(death, { maxLength: 4 }),
          fc.record({
            pageSize: fc.integer({ min: 20, max: 600 }),
            slots: fc.integer({ min: 1, max: 4 }),
          }),
          async (happened, pageSize, deaths, building) => {
            const ids = Array.from({ length: 4 }, newId);
            await appendAll(happened, ids);
            await followWithDeaths(deaths, pageSize);
            for (const id of ids) expect(await storedView(id)).toEqual(await foldOf(id));

            const before = await ledger.hashes();
            const results = await rebuild({
              names: [],
              database: ledger.database,
              store: ledger.store,
              ...building,
              verify: true,
            });
            expect(results.map(({ outcome, verified }) => [outcome, verified])).toEqual([
              ['swapped', true],
              ['swapped', true],
            ]);
            expect(await ledger.hashes()).toEqual(before);
          },
        ),
        { numRuns: 50 },
      );
    },
  );

  test('the histories reach every type of event and drop steps', () => {
    const types = new Set<string>();
    for (const happened of fc.sample(histories(4, 40), 300)) {
      for (const { events } of happened) for (const { type } of events) types.add(type);
    }
    expect(types.size).toBe(13);
  });
});
