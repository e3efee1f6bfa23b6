import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { newId } from '../../src/platform/ids.ts';
import { PROJECTIONS } from '../../src/projections/catalog.ts';
import {
  listProjections,
  pauseProjection,
  resumeProjection,
  waitForPosition,
} from '../../src/projections/control.ts';
import type { Projection } from '../../src/projections/projection.ts';
import { Projector, type ProjectorParts } from '../../src/projections/projector.ts';
import { projectorName } from '../../src/projections/shares.ts';
import * as a from '../support/jobs.ts';
import { eventually } from '../support/eventually.ts';
import { Ledger, silent } from './support.ts';

let ledger: Ledger;
let running: { stop: () => Promise<void> }[];
beforeEach(async () => {
  running = [];
  ledger = await Ledger.open();
});
afterEach(async () => {
  await Promise.all(running.map(({ stop }) => stop()));
  await ledger.close();
});

const never = new AbortController().signal;

function start(parts: Partial<ProjectorParts> = {}) {
  const { database, url: databaseUrl, store, hints } = ledger;
  const projector = new Projector({
    database,
    databaseUrl,
    store,
    hints,
    logger: silent,
    ...parts,
  });
  const abort = new AbortController();
  const ended = projector.run(abort.signal);
  const stop = async () => {
    abort.abort();
    await ended;
  };
  running.push({ stop });
  return { stop };
}

const seen = (position: bigint, timeoutMs = 10_000) =>
  waitForPosition(ledger.database, 'jobs', position, { timeoutMs, signal: never });

const appendJob = () => ledger.append(newId(), a.requested(), a.started(), a.completed());

describe('the projector', () => {
  test('follows what was there, and what comes', async () => {
    const first = await appendJob();
    start();
    expect(await seen(first)).toBe(true);
    const second = await appendJob();
    expect(await seen(second)).toBe(true);
    expect(await ledger.rows('select from read.jobs')).toHaveLength(2);
  });

  test('54 stop-drains-and-persists-checkpoint: what it has done stays done', async () => {
    const { stop } = start();
    expect(await seen(await appendJob())).toBe(true);
    await stop();
    const after = await appendJob();
    expect(await seen(after, 50)).toBe(false);
    start();
    expect(await seen(after)).toBe(true);
  });

  test('41 takes over within seconds from a leader that died', async () => {
    const dead = new Client({ connectionString: ledger.url });
    dead.on('error', () => {});
    await dead.connect();
    await dead.query(
      `select pg_advisory_lock(hashtextextended('jobledger follower ${projectorName('jobs')}', 0))`,
    );
    start();
    const position = await appendJob();
    expect(await seen(position, 300)).toBe(false);
    const died = performance.now();
    await ledger.rows(
      `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and pid = ${String(processIdOf(dead))}`,
    );
    expect(await seen(position)).toBe(true);
    expect(performance.now() - died).toBeLessThan(5_000);
    await dead.end().catch(() => {});
  });

  describe('of which there are two', () => {
    const keeperOf = async () =>
      Object.fromEntries(
        (
          await ledger.rows(`
            select regexp_replace(activity.application_name, '.*:', '') as name, activity.client_port as port
            from pg_locks as lock join pg_stat_activity as activity using (pid)
            where lock.locktype = 'advisory' and lock.granted and activity.datname = current_database()
              and activity.application_name like '%lead projections:%'`)
        ).map(({ name, port }) => [name, port]),
      );

    test('share the projections out, and each takes all when it is alone', async () => {
      const first = start();
      await eventually(async () => {
        expect(Object.keys(await keeperOf()).toSorted()).toEqual(['job_stats', 'jobs']);
      });
      const before = await keeperOf();
      start();
      await eventually(async () => {
        const now = await keeperOf();
        expect(Object.keys(now).toSorted()).toEqual(['job_stats', 'jobs']);
        expect(Object.keys(now).filter((name) => now[name] === before[name])).toHaveLength(1);
      });
      expect(await seen(await appendJob())).toBe(true);
      const shared = await keeperOf();
      await first.stop();
      await eventually(async () => {
        const now = await keeperOf();
        expect(Object.keys(now).toSorted()).toEqual(['job_stats', 'jobs']);
        expect(Object.keys(now).filter((name) => now[name] === shared[name])).toHaveLength(1);
      });
      const position = await appendJob();
      expect(await seen(position)).toBe(true);
      await eventually(async () => {
        expect(await ledger.rows('select sum(completed)::int as n from read.job_stats')).toEqual([
          { n: 2 },
        ]);
      });
    });
  });

  test('goes on by itself after all of its connections were cut', async () => {
    start();
    expect(await seen(await appendJob())).toBe(true);
    for (let round = 0; round < 3; round++) {
      await ledger
        .rows(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
        )
        .catch(() => []);
      const position = await eventually(appendJob);
      expect(await eventually(() => seen(position))).toBe(true);
    }
  });

  test('follows a projection again soon after it was resumed', async () => {
    start();
    expect(await seen(await appendJob())).toBe(true);
    await pauseProjection(ledger.database, 'jobs');
    const position = await appendJob();
    expect(await seen(position, 100)).toBe(false);
    await resumeProjection(ledger.database, 'jobs');
    expect(await seen(position)).toBe(true);
  });

  test.each([
    ['at the end', (columns: string) => `${columns}, starred boolean not null default false`],
    ['at the beginning', (columns: string) => `starred boolean not null default false, ${columns}`],
  ])('rebuilds a projection whose version was raised, with a new column %s', async (_, change) => {
    const [jobs, ...others] = PROJECTIONS;
    if (!jobs) throw new Error('no projections');
    const [table, ...tables] = jobs.tables;
    if (!table) throw new Error('no tables');
    const newer: Projection = {
      ...jobs,
      version: jobs.version + 1,
      tables: [{ ...table, columns: change(table.columns) }, ...tables],
    };
    await appendJob();
    await ledger.catchUp();
    start({ projections: [newer, ...others] });
    await eventually(async () => {
      const live = (await listProjections(ledger.database)).find(
        (each) => each.name === 'jobs' && each.live,
      );
      expect(live).toMatchObject({ version: jobs.version + 1, generation: 2 });
    });
    expect(await ledger.rows('select starred from read.jobs')).toEqual([{ starred: false }]);
    expect(await seen(await appendJob())).toBe(true);
    expect(await ledger.rows('select from read.jobs')).toHaveLength(2);
  });

  test('makes the tables and the view of a projection that is new', async () => {
    const [jobs] = PROJECTIONS;
    if (!jobs) throw new Error('no projections');
    const copy = jobs.tables.map((table) => ({ ...table, name: `${table.name}_copy` }));
    const added: Projection = {
      ...jobs,
      name: 'copies',
      tables: copy,
      load: (page, names) => jobs.load(page, original(names)),
      write: (page, loaded, names) => jobs.write(page, loaded, original(names)),
    };
    await appendJob();
    start({ projections: [...PROJECTIONS, added] });
    await eventually(async () => {
      expect(await ledger.rows('select from read.jobs_copy')).toHaveLength(1);
    });
    expect(await seen(await appendJob())).toBe(true);
    await eventually(async () => {
      expect(await ledger.rows('select from read.jobs_copy')).toHaveLength(2);
    });
  });
});

const processIdOf = (client: Client) => (client as unknown as { processID: number }).processID;

const original = (names: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(names).map(([name, table]) => [name.replace('_copy', ''), table]),
  );
