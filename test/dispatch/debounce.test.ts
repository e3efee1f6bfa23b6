import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { resetDispatch } from '../../src/dispatch/control-follower.ts';
import { HintWindow } from '../../src/dispatch/hint-window.ts';
import { JobHints } from '../../src/dispatch/job-hints.ts';
import { Superseding } from '../../src/dispatch/superseding.ts';
import { Timers } from '../../src/dispatch/timers.ts';
import type { JobRequest } from '../../src/events/job.ts';
import { cancelled, failed, requested, retryRequested, started } from '../support/jobs.ts';
import { FakeTransport, Ledger, silent } from './support.ts';

let ledger: Ledger;
let transport: FakeTransport;
let woken: string[];
beforeAll(async () => {
  ledger = await Ledger.open();
});
beforeEach(async () => {
  await ledger.wipe();
  transport = new FakeTransport();
  woken = [];
  ledger.now = new Date();
});
afterAll(async () => {
  await ledger.close();
});

const QUIET_MS = 60_000;
const MAX_WAIT_MS = 90_000;
const debounced = (change: Partial<JobRequest> = {}) =>
  requested({
    concurrency: { key: 'k', strategy: 'debounce', quietMs: QUIET_MS, maxWaitMs: MAX_WAIT_MS },
    ...change,
  });

const parts = () => ({
  database: ledger.database,
  door: ledger.door,
  counts: ledger.counts,
  clock: ledger.clock,
});
const wake = (name: string) => ({ announce: () => woken.push(name) });

/** All that the dispatcher does when so much time has passed since now; gives the jobs that it hints. */
async function after(ms: number): Promise<readonly string[]> {
  ledger.now = new Date(Date.now() + ms);
  await ledger.fold();
  await new Superseding(parts()).runOnce();
  await ledger.fold();
  await new Timers({ ...parts(), hintsWake: wake('hints'), ratesWake: wake('rates') }).runOnce();
  const hints = new JobHints({
    ...parts(),
    transport,
    window: new HintWindow(ledger.clock),
    redispatchAfterMs: 30_000,
    logger: silent,
  });
  await hints.runOnce();
  return transport.hintedJobs();
}

/** As if the log had it this long ago, with all that follows for bursts. */
async function age(ms: number): Promise<void> {
  const interval = `interval '${String(ms)} ms'`;
  await ledger.rows(`update dispatch.bursts set began_at = began_at - ${interval}`);
  await ledger.rows(`update dispatch.jobs set hold_until = hold_until - ${interval}`);
}

const lastOf = async (id: string) => (await ledger.types(id)).at(-1);

describe('a debounced job', () => {
  test('starts when no newer one has come for a while', async () => {
    await ledger.append('a', debounced());
    expect(await after(QUIET_MS - 2_000)).toEqual([]);
    expect(woken).toEqual([]);
    expect(await after(QUIET_MS)).toEqual(['a']);
    expect(woken).toEqual(['hints', 'rates']);
  });

  test('is replaced by a newer one, which waits anew', async () => {
    await ledger.append('a', debounced());
    expect(await after(0)).toEqual([]);
    await age(30_000);
    await ledger.append('b', debounced());
    expect(await after(QUIET_MS - 2_000)).toEqual([]);
    expect((await ledger.events('a')).at(-1)).toMatchObject({
      type: 'JobSuperseded',
      data: { by: 'b' },
    });
    expect(await after(QUIET_MS)).toEqual(['b']);
  });

  test('waits no longer than the maximum after the first of its burst', async () => {
    await ledger.append('a', debounced());
    await after(0);
    await age(55_000);
    await ledger.append('b', debounced());
    await after(0);
    await age(5_000);
    await ledger.append('c', debounced());
    // 60 s of the 90 are over.
    expect(await after(28_000)).toEqual([]);
    expect(await after(31_000)).toEqual(['c']);
    expect(await lastOf('b')).toBe('JobSuperseded');
  });

  test('that has started is left alone, also when its start was not seen yet', async () => {
    await ledger.append('a', debounced());
    expect(await after(QUIET_MS)).toEqual(['a']);
    await ledger.append('b', debounced());
    await ledger.fold();
    await ledger.append('a', started());
    await new Superseding(parts()).runOnce();
    expect(await lastOf('a')).toBe('JobStarted');
    await after(0);
    expect(await lastOf('a')).toBe('JobStarted');
    expect(await ledger.job('b')).toMatchObject({ superseded_by: null });
  });

  test('begins a new burst when the last one has started or ended', async () => {
    await ledger.append('a', debounced());
    await after(0);
    await age(80_000);
    await ledger.append('a', cancelled);
    await ledger.append('b', debounced());
    expect(await after(58_000)).toEqual([]);
    expect(await after(QUIET_MS)).toEqual(['b']);
  });

  test('of another key or workflow is another matter', async () => {
    await ledger.append('a', debounced());
    await ledger.append('b', debounced({ workflow: 'other' }));
    expect((await after(QUIET_MS)).toSorted()).toEqual(['a', 'b']);
  });

  test('that is retried by hand starts at once and stays, whatever comes', async () => {
    await ledger.append('a', debounced(), started(), failed(), retryRequested());
    await ledger.append('b', debounced());
    expect(await after(0)).toEqual(['a']);
    expect(await lastOf('a')).toBe('JobRetryRequested');
  });

  test('is held the same after a reset', async () => {
    await ledger.append('a', debounced());
    await ledger.append('b', debounced());
    await after(0);
    const held = async () => ledger.rows('select job_id, hold_until, takeable from dispatch.jobs');
    const before = await held();
    await resetDispatch(ledger.database);
    await ledger.fold();
    expect(await held()).toEqual(before);
  });
});

test('a job that is out of time ends, wherever it stands', async () => {
  await ledger.append('held', debounced({ timeoutMs: 10_000 }));
  await ledger.append('running', requested({ timeoutMs: 10_000 }), started());
  await ledger.append('other', requested({ timeoutMs: 1_000_000 }));
  const at = Date.parse('2026-11-20T12:00:00.000Z') - Date.now();
  await after(at + 9_000);
  expect(await lastOf('held')).toBe('JobRequested');
  await after(at + 10_000);
  for (const id of ['held', 'running']) {
    expect((await ledger.events(id)).at(-1)).toMatchObject({
      type: 'JobFailed',
      data: { error: { classification: 'timeout' } },
    });
  }
  expect(await lastOf('other')).toBe('JobRequested');
});
