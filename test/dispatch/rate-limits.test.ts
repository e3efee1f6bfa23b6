import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { resetDispatch } from '../../src/dispatch/control-follower.ts';
import { RateLimits } from '../../src/dispatch/rate-limits.ts';
import { IDLE_MS } from '../../src/dispatch/reaction.ts';
import type { JobRequest } from '../../src/events/job.ts';
import {
  attemptFailed,
  cancelled,
  completed,
  failed,
  paused,
  requested,
  resumed,
  retryRequested,
  started,
} from '../support/jobs.ts';
import { Ledger } from './support.ts';

let ledger: Ledger;
let woken = 0;
beforeAll(async () => {
  ledger = await Ledger.open();
});
beforeEach(async () => {
  await ledger.wipe();
  woken = 0;
});
afterAll(async () => {
  await ledger.close();
});

const PER_MS = 60_000;
const rated = (limit: number, change: Partial<JobRequest> = {}, key = 'k') =>
  requested({ rateLimit: { key, limit, perMs: PER_MS }, ...change });

const newRates = () =>
  new RateLimits({
    database: ledger.database,
    counts: ledger.counts,
    hintsWake: { announce: () => woken++ },
  });

/** Folds and grants; gives the milliseconds until it wants to look again. */
async function grant(): Promise<number> {
  await ledger.fold();
  return newRates().runOnce();
}

const takeable = async (): Promise<readonly unknown[]> =>
  (await ledger.rows(`select job_id from dispatch.jobs where takeable order by job_id`)).map(
    (row) => row['job_id'],
  );

/** As if all starts had been so long ago. */
const age = (ms: number) =>
  ledger.rows(`update dispatch.rate_starts set at = at - interval '${String(ms)} ms',
    until = until - interval '${String(ms)} ms'`);

describe('jobs of one rate', () => {
  test('start up to the limit, the others wait and are not lost', async () => {
    for (const id of ['a', 'b', 'c', 'd']) await ledger.append(id, rated(2));
    await ledger.fold();
    expect(await takeable()).toEqual([]);
    expect(await grant()).toBe(IDLE_MS);
    expect(woken).toBe(1);
    expect(await takeable()).toEqual(['a', 'b']);
    await grant();
    expect(await takeable()).toEqual(['a', 'b']);
    await ledger.append('a', started(), completed());
    await ledger.append('b', started());
    const dueInMs = await grant();
    expect(dueInMs).toBeGreaterThan(PER_MS - 20_000);
    expect(dueInMs).toBeLessThanOrEqual(PER_MS);
    expect(await takeable()).toEqual([]);
    await age(PER_MS);
    await grant();
    expect(await takeable()).toEqual(['c', 'd']);
  });

  test('come by priority, then the oldest first', async () => {
    await ledger.append('old', rated(1));
    await ledger.append('urgent', rated(1, { priority: 9 }));
    await grant();
    expect(await takeable()).toEqual(['urgent']);
  });

  test('count one start each: neither attempts nor resumptions', async () => {
    await ledger.append('a', rated(2), started(), attemptFailed());
    await ledger.append('b', rated(2));
    await ledger.append('c', rated(2));
    await grant();
    expect(await takeable()).toEqual(['b']);
    await ledger.append('a', started('r2', 2), paused({}, 'r2'), resumed());
    await grant();
    expect(await takeable()).toEqual(['a', 'b']);
    expect(await ledger.rows('select job_id from dispatch.rate_starts')).toEqual([{ job_id: 'a' }]);
  });

  test('count a retry by hand of one that had ended anew', async () => {
    await ledger.append('a', rated(1), started(), failed());
    await ledger.fold();
    await ledger.append('a', retryRequested());
    await grant();
    expect(await takeable()).toEqual([]);
    await age(PER_MS);
    await grant();
    expect(await takeable()).toEqual(['a']);
  });

  test('give back what was granted to one that never started', async () => {
    await ledger.append('a', rated(1));
    await ledger.append('b', rated(1));
    await grant();
    await ledger.append('a', cancelled);
    await grant();
    expect(await takeable()).toEqual(['b']);
  });

  test('have no second share after a reset', async () => {
    for (const id of ['a', 'b', 'c']) await ledger.append(id, rated(2));
    await grant();
    await ledger.append('a', started(), completed());
    await ledger.fold();
    await resetDispatch(ledger.database);
    await grant();
    expect(await takeable()).toEqual(['b']);
  });

  test('do not hold up those of another key or workflow, or without one', async () => {
    await ledger.append('a', rated(1));
    await ledger.append('b', rated(1));
    await ledger.append('key', rated(1, {}, 'other'));
    await ledger.append('workflow', rated(1, { workflow: 'other' }));
    await ledger.append('none', requested());
    await grant();
    expect(await takeable()).toEqual(['a', 'key', 'none', 'workflow']);
  });

  test('are granted when it is their turn in their line, and not before', async () => {
    const concurrency = { key: 'x', strategy: 'queue' } as const;
    await ledger.append('a', rated(2, { concurrency }));
    await ledger.append('b', rated(2, { concurrency }));
    await ledger.append('c', rated(2));
    await grant();
    expect(await takeable()).toEqual(['a', 'c']);
  });
});

test('whenever workers take them, and whatever is forgotten, no period has more starts than the limit', async () => {
  const limit = 3;
  const perMs = 400;
  const ids = Array.from({ length: 20 }, (_, n) => `j${String(n)}`);
  const rateLimit = { key: 'k', limit, perMs };
  for (const id of ids) await ledger.append(id, requested({ rateLimit }));
  for (let round = 1; ; round++) {
    await grant();
    const ready = await takeable();
    // Some are taken later than others.
    for (const id of ready.slice(round % 2)) await ledger.append(String(id), started());
    if (round % 5 === 0) await resetDispatch(ledger.database);
    const [left] = await ledger.rows(`select count(*)::int as n from dispatch.jobs
      where phase = 'requested'`);
    if (left?.['n'] === 0 && round % 5 !== 0) break;
  }
  const starts = await ledger.rows<{ at: Date }>(
    `select recorded_at as at from log.events where type = 'JobStarted' order by position`,
  );
  expect(starts).toHaveLength(ids.length);
  for (const [n, { at }] of starts.entries()) {
    const first = starts[n - limit];
    if (first) expect(at.getTime() - first.at.getTime()).toBeGreaterThanOrEqual(perMs);
  }
}, 60_000);
