import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { Archiver } from '../../src/archive/archiver.ts';
import { exportArchive, readExport } from '../../src/archive/export.ts';
import { archiveStatus } from '../../src/archive/status.ts';
import { verifyLog } from '../../src/cli/verify-log.ts';
import type { JobEvent } from '../../src/events/job.ts';
import { oldestPosition } from '../../src/event-store/oldest-position.ts';
import { PROJECTIONS } from '../../src/projections/catalog.ts';
import { LiveProjections } from '../../src/projections/live.ts';
import { rebuild } from '../../src/projections/rebuild.ts';
import { pause } from '../../src/platform/backoff.ts';
import { sql } from '../../src/platform/sql.ts';
import { DeliveryLog } from '../../src/write/delivery/delivery-log.ts';
import { deliveryRows } from '../../src/write/delivery/delivery-rows.ts';
import { foldJob } from '../../src/read/job-history.ts';
import { assertDense, ids, readEverything, versions } from '../event-store/builders.ts';
import { type Participant, participant, silent } from '../event-store/postgres-subject.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import {
  cancelled,
  completed,
  request,
  requested,
  retryRequested,
  started,
  stepCompleted,
  trigger,
} from '../support/jobs.ts';

const NEVER = new AbortController().signal;
const DAY_MS = 86_400_000;

describe('the archive', () => {
  let database: TestDatabase;
  let one: Participant;

  beforeEach(async () => {
    database = await createDatabase();
    one = participant(database.url);
    return async () => {
      await one.close();
      await database.drop();
    };
  });

  const newJob = (): string => `job-${randomUUID()}`;
  async function happened(jobId: string, ...events: readonly JobEvent[]): Promise<void> {
    const before = await one.store.readStream(jobId);
    const result = await one.store.append({
      streamId: jobId,
      expected: before.length,
      events: events.map((event) => Object.assign({ id: randomUUID() }, event)),
    });
    expect(result.status).toBe('appended');
  }
  const whole = [requested(), started(), stepCompleted('one', { n: 1 }), completed({ ok: true })];
  const finishedJob = async (): Promise<string> => {
    const jobId = newJob();
    await happened(jobId, ...whole);
    return jobId;
  };

  /** Everything that was recorded up to `until` is old enough. */
  const archiver = (until = new Date(Date.now() + 1_000)): Archiver =>
    new Archiver({
      ...one,
      databaseUrl: database.url,
      logger: silent,
      keepDays: 30,
      clock: () => new Date(until.getTime() + 30 * DAY_MS),
    });
  const present = async (jobId: string): Promise<number> => {
    const rows = await one.database.query(sql`select from log.events where stream_id = ${jobId}`);
    return rows.length;
  };

  test('takes the events of a finished job but the last, and every reader finds them as they were', async () => {
    const jobs = [await finishedJob(), await finishedJob(), await finishedJob()];
    const [job = ''] = jobs;
    const stream = await one.store.readStream(job);
    const log = await readEverything(one.store);
    const view = await foldJob(one.store, job);
    const then = await foldJob(one.store, job, stream[1]?.position);

    expect(await archiver().runOnce(NEVER)).toEqual({ jobs: 3, events: 9 });

    expect(await present(job)).toBe(1);
    expect(await one.store.readStream(job)).toEqual(stream);
    expect(await readEverything(one.store)).toEqual(log);
    expect(await readEverything(one.store, 0n, 2)).toEqual(log);
    expect(await readEverything(one.store, 5n, 3)).toEqual(log.slice(5));
    expect(await foldJob(one.store, job)).toEqual(view);
    expect(await foldJob(one.store, job, stream[1]?.position)).toEqual(then);
    expect(then?.status).toBe('RUNNING');
    expect(await verifyLog(one.database)).toMatchObject({ events: 12, streams: 3, faults: [] });
    expect(await oldestPosition(one.database)).toBe(1n);
    expect(await archiveStatus(one.database)).toMatchObject({ jobs: 3, events: 9, position: 12n });
  });

  test('any part of an archived stream or of the log reads as before', async () => {
    const job = await finishedJob();
    await happened(newJob(), requested());
    await finishedJob();
    const read = (): Promise<readonly unknown[]> =>
      Promise.all([
        one.store.readStream(job, { to: 2 }),
        one.store.readStream(job, { from: 2, limit: 2 }),
        one.store.readStream(job, { from: 4 }),
        one.store.readStream(job, { from: 5 }),
        one.store.readStream(job, { backwards: true, limit: 1 }),
        one.store.readStream(job, { backwards: true, limit: 3 }),
        one.store.readStream(job, { backwards: true, from: 2, to: 3 }),
        one.store.readAll({ after: 0n, upTo: 3n, limit: 10 }),
        one.store.readAll({ after: 1n, upTo: 7n, limit: 10 }),
        one.store.readAll({ after: 4n, upTo: 8n, limit: 2 }),
        one.store.readAll({ after: 0n, limit: 10, types: ['JobStarted'] }),
        one.store.readAll({ after: 8n, limit: 10 }),
        one.store.readAll({ after: 9n, limit: 10 }),
      ]);
    const before = await read();
    expect(await archiver().runOnce(NEVER)).toMatchObject({ jobs: 2 });
    expect(await read()).toEqual(before);
  });

  test('leaves what is young, open, or was retried since', async () => {
    const old = await finishedJob();
    const open = newJob();
    await happened(open, requested(), started());
    const again = newJob();
    await happened(again, ...whole);
    const until = new Date();
    await pause(5, NEVER);
    await happened(again, retryRequested());
    const young = await finishedJob();

    expect(await archiver(until).runOnce(NEVER)).toEqual({ jobs: 1, events: 3 });
    expect(await Promise.all([old, open, again, young].map(present))).toEqual([1, 2, 5, 4]);

    await happened(again, started('r2'), completed(null, 'r2'));
    expect(await archiver().runOnce(NEVER)).toEqual({ jobs: 2, events: 9 });
    expect(await present(again)).toBe(1);
    expect(await archiver().runOnce(NEVER)).toEqual({ jobs: 0, events: 0 });
  });

  test('read models that are rebuilt have the archived jobs as before', async () => {
    const { database: pool, store } = one;
    await finishedJob();
    const again = newJob();
    await happened(again, ...whole, retryRequested('one'), started('r2'), cancelled);
    const options = { database: pool, store, names: [], logger: silent };
    await rebuild(options);
    await archiver().runOnce(NEVER);
    await happened(newJob(), requested());
    const live = new LiveProjections({ ...options, projections: PROJECTIONS });
    while (await live.round());
    for (const { outcome, verified } of await rebuild({ ...options, verify: true, pageSize: 3 })) {
      expect([outcome, verified]).toEqual(['swapped', true]);
    }
  });

  test('an archived job may be retried, and is archived again', async () => {
    const job = await finishedJob();
    await archiver().runOnce(NEVER);
    await happened(job, retryRequested(), cancelled);
    expect(versions(await one.store.readStream(job))).toEqual([1, 2, 3, 4, 5, 6]);
    await archiver().runOnce(NEVER);
    expect(await present(job)).toBe(1);
    expect(versions(await one.store.readStream(job))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await verifyLog(one.database)).toMatchObject({ events: 6, faults: [] });
  });

  test('positions go on behind an archived end of the log, and its job is not requested anew', async () => {
    const job = await finishedJob();
    await archiver().runOnce(NEVER);
    const anew = await one.store.append({
      streamId: job,
      expected: 0,
      events: [{ ...requested(), id: randomUUID() }],
    });
    expect(anew).toEqual({ status: 'conflict', version: 4 });
    await finishedJob();
    assertDense(await readEverything(one.store), 0n);
  });

  test('a delivery that comes again after its row is gone starts no archived job anew', async () => {
    const log = new DeliveryLog({ databaseUrl: database.url, logger: silent });
    const { priority, concurrency, retry } = request();
    const planned = { workflow: 'review', priority, concurrency, retry };
    const { row, events } = deliveryRows({
      source: 'github',
      provider: 'github',
      deliveryId: 'd',
      key: 'd',
      sameBodyIsDuplicate: true,
      event: 'push',
      action: null,
      outcome: 'accepted',
      reason: null,
      triggers: [trigger],
      jobs: [{ trigger, planned }],
      headers: {},
      body: Buffer.from('{}'),
      receivedAt: new Date(),
    });
    try {
      expect(await log.accept(row, events)).toMatchObject({ status: 'new' });
      const job = events[0]?.streamId ?? '';
      await happened(job, started(), completed());
      await archiver().runOnce(NEVER);
      await one.database.query(sql`delete from ingress.deliveries`);
      expect(await log.accept(row, events)).toMatchObject({ status: 'new' });
      expect(versions(await one.store.readStream(job))).toEqual([1, 2, 3]);
      expect(await one.store.head()).toBe(3n);
    } finally {
      await log.close();
    }
  });

  test('appends go on while it works, and none is lost or hidden', async () => {
    for (let count = 0; count < 120; count++) await finishedJob();
    const archiving = archiver().runOnce(NEVER);
    const seen = readEverything(one.store, 0n, 7);
    for (let count = 0; count < 40; count++) await finishedJob();
    expect((await archiving).jobs).toBeGreaterThanOrEqual(120);
    assertDense(await seen, 0n);
    const all = await readEverything(one.store);
    assertDense(all, 0n);
    expect(all).toHaveLength(640);
  });

  test('stopped in the middle, the next one goes on', async () => {
    for (let count = 0; count < 120; count++) await finishedJob();
    const stop = new AbortController();
    const first = archiver().runOnce(stop.signal);
    await pause(30, NEVER);
    stop.abort();
    const { jobs } = await first;
    const rest = await archiver().runOnce(NEVER);
    expect(jobs + rest.jobs).toBe(120);
    expect(await verifyLog(one.database)).toMatchObject({ events: 480, faults: [] });
  });

  test('the log gives up no event of which there is no copy, and never the last of a stream', async () => {
    const job = await finishedJob();
    const remove = (statement: Parameters<Participant['database']['query']>[0]): Promise<unknown> =>
      one.database.transaction(async (transaction) => {
        await transaction.query(sql`set local jobledger.archiving = 'on'`);
        await transaction.query(statement);
      });
    const all = sql`delete from log.events where stream_id = ${job}`;
    await expect(one.database.query(all)).rejects.toThrow(/refused/);
    await expect(remove(all)).rejects.toThrow(/not in the archive/);
    await expect(remove(sql`update log.events set type = 'X'`)).rejects.toThrow(/refused/);
    await expect(remove(sql`truncate log.events`)).rejects.toThrow(/refused/);
    await one.database.query(sql`
      insert into archive.events select * from log.events where stream_id = ${job}`);
    await expect(remove(all)).rejects.toThrow(/the last of its stream/);
    await one.database.query(sql`update archive.events set data = '{"other":1}' where version = 1`);
    await expect(
      remove(sql`delete from log.events where stream_id = ${job} and version = 1`),
    ).rejects.toThrow(/not in the archive/);
    expect(await present(job)).toBe(4);
  });

  test('a change of the archive is found', async () => {
    const job = await finishedJob();
    await archiver().runOnce(NEVER);
    await one.database.query(sql`update archive.events set data = '{"other":1}' where version = 2`);
    const { faults } = await verifyLog(one.database);
    expect(faults).toEqual([`the archive of job ${job} is not what was moved there`]);
  });

  describe('an export', () => {
    let folder: string;
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'jobledger-export-'));
    });
    afterAll(() => {
      rmSync(folder, { recursive: true });
    });

    test('has every event of every archived job, and is read again before it counts', async () => {
      for (let count = 0; count < 130; count++) await finishedJob();
      const open = newJob();
      await happened(open, requested());
      await archiver().runOnce(NEVER);
      const path = join(folder, 'archive.ndjson.gz');
      const exported = await exportArchive(one.database, path);
      expect(exported).toMatchObject({ jobs: 130, events: 520 });
      expect(await readExport(path)).toEqual({ events: 520, sha256: exported.sha256 });
      const lines = gunzipSync(readFileSync(path)).toString('utf8').trimEnd().split('\n');
      const found = lines.map((line) => JSON.parse(line) as { id: string; jobId: string });
      const log = await readEverything(one.store);
      const expected = ids(log.filter(({ streamId }) => streamId !== open));
      expect(found.map(({ id }) => id).toSorted()).toEqual(expected.toSorted());

      writeFileSync(path, gzipSync(`${lines.slice(1).join('\n')}\n`));
      expect(await readExport(path)).toMatchObject({ events: 519 });
    });
  });
});
