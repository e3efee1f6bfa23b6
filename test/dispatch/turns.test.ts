import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { HintWindow } from '../../src/dispatch/hint-window.ts';
import { Turns, readNextHints } from '../../src/dispatch/hint-sql.ts';
import { JobHints } from '../../src/dispatch/job-hints.ts';
import type { JobRequest } from '../../src/events/job.ts';
import { completed, requested, started, trigger } from '../support/jobs.ts';
import { FakeTransport, Ledger, silent } from './support.ts';

let ledger: Ledger;
let transport: FakeTransport;
let hints: JobHints;
beforeAll(async () => {
  ledger = await Ledger.open();
});
beforeEach(async () => {
  await ledger.wipe();
  transport = new FakeTransport();
  hints = new JobHints({
    database: ledger.database,
    transport,
    window: new HintWindow(ledger.clock),
    counts: ledger.counts,
    redispatchAfterMs: 30_000,
    clock: ledger.clock,
    logger: silent,
  });
});
afterAll(async () => {
  await ledger.close();
});

const ROOM = 16;
/** With one place, so that there is room for 16 hints. */
const oneWorker = async (): Promise<void> => {
  await ledger.rows(`insert into dispatch.workers (id, host, concurrency) values ('w', 'h', 1)`);
  await hints.runOnce();
};

const of = (fullName: string | null, change: Partial<JobRequest> = {}) =>
  requested({
    trigger: {
      ...trigger,
      repository: fullName === null ? null : { fullName, url: null, cloneUrl: null },
    },
    ...change,
  });

async function many(count: number, repository: string | null, change: Partial<JobRequest> = {}) {
  for (let n = 1; n <= count; n++) {
    await ledger.append(`${repository ?? 'none'}${String(n)}`, of(repository, change));
  }
}

/** All passes until nothing is left to do at once. */
async function hinted(): Promise<readonly string[]> {
  await ledger.fold();
  while ((await hints.runOnce()) === 0);
  return transport.hintedJobs();
}

const take = (...ids: readonly string[]) =>
  Promise.all(ids.map((id) => ledger.append(id, started(`${id} r`), completed(null, `${id} r`))));

describe('repositories', () => {
  test('take turns, each with its oldest', async () => {
    await oneWorker();
    await many(10, 'a');
    await many(2, 'b');
    await many(2, null);
    expect(await hinted()).toEqual([
      'a1',
      'b1',
      'none1',
      'a2',
      'b2',
      'none2',
      'a3',
      'a4',
      'a5',
      'a6',
      'a7',
      'a8',
      'a9',
      'a10',
    ]);
  });

  test('that come late are next, however many jobs another one has', async () => {
    await oneWorker();
    await many(60, 'm');
    const first = await hinted();
    expect(first).toHaveLength(ROOM);
    await many(2, 'b');
    await many(2, 'z');
    await take('m1', 'm2', 'm3');
    expect(await hinted()).toEqual(['z1', 'b1', 'm17']);
    await take('m4');
    expect(await hinted()).toEqual(['z2']);
    await take('m5', 'm6', 'm7');
    expect(await hinted()).toEqual(['b2', 'm18', 'm19']);
  });

  test('share what room there is, and none of it is left for a lower priority', async () => {
    await oneWorker();
    await many(30, 'flood', { priority: 7 });
    await many(1, 'one', { priority: 7 });
    await many(30, 'low', { priority: 1 });
    const ids = await hinted();
    expect(ids).toHaveLength(ROOM);
    expect(ids).toContain('one1');
    expect(ids.filter((id) => id.startsWith('low'))).toEqual([]);
  });

  test('of a higher priority come first all the same', async () => {
    await oneWorker();
    await many(20, 'a', { priority: 9 });
    await many(1, 'b', { priority: 0 });
    expect(await hinted()).not.toContain('b1');
    await take(...Array.from({ length: ROOM }, (_, n) => `a${String(n + 1)}`));
    expect(await hinted()).toEqual(['a17', 'a18', 'a19', 'a20', 'b1']);
  });

  test('more than there is room for come one after the other', async () => {
    await oneWorker();
    for (let n = 10; n < 50; n++) await many(1, `r${String(n)}-`);
    const seen: string[] = [];
    for (let round = 0; round < 3; round++) {
      const ids = await hinted();
      seen.push(...ids);
      await take(...ids);
    }
    expect(seen).toHaveLength(40);
    expect(seen).toEqual(seen.toSorted());
  });
});

test('of twenty thousand ready jobs, only what is chosen is read', async () => {
  await ledger.rows(`
    insert into dispatch.jobs (job_id, workflow, repository, priority, requested_position,
      line_position, phase, version, position, since, takeable)
    select 'job-' || n, 'short', 'repository-' || n % 500, 5, n, n, 'requested', 1, n, now(), true
    from generate_series(1, 20000) as n`);
  const { jobs } = await readNextHints(ledger.database, ROOM, new Turns());
  expect(jobs).toHaveLength(ROOM);
  const plan = `explain (analyze, buffers, format json) select * from`;
  const index = await pagesRead(`${plan} dispatch.next_hints(${String(ROOM)}, '[]')`);
  const table = await pagesRead(`${plan} dispatch.jobs`);
  expect(index).toBeLessThan(table);
});

async function pagesRead(explain: string): Promise<number> {
  const [row] = await ledger.rows<{ 'QUERY PLAN': readonly [{ Plan: Record<string, number> }] }>(
    explain,
  );
  const plan = row?.['QUERY PLAN'][0].Plan ?? {};
  return (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0);
}
