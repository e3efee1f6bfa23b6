import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { writePage } from '../../src/dispatch/control-tables.ts';
import { foldPage } from '../../src/dispatch/fold-page.ts';
import { DISPATCH } from '../../src/dispatch/names.ts';
import { CheckpointLost, raiseEpoch, readCheckpoint } from '../../src/event-store/checkpoint.ts';
import { resetDispatch } from '../../src/dispatch/control-follower.ts';
import type { JobRequest } from '../../src/events/job.ts';
import {
  attemptFailed,
  cancelled,
  completed,
  failed,
  interrupted,
  later,
  paused,
  requested,
  resumed,
  retryRequested,
  signalled,
  started,
  stepCompleted,
  superseded,
} from '../support/jobs.ts';
import { Ledger } from './support.ts';

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

const queue: Partial<JobRequest> = { concurrency: { key: 'k', strategy: 'queue' } };
const supersede: Partial<JobRequest> = { concurrency: { key: 'k', strategy: 'supersede' } };

describe('an open job', () => {
  test('has a row from its request on', async () => {
    const position = await ledger.append('j', requested({ priority: 7, ...queue }));
    await ledger.fold();
    expect(await ledger.job('j')).toMatchObject({
      workflow: 'review',
      repository: 'github/octo/repo',
      phase: 'requested',
      priority: 7,
      version: 1,
      position: String(position),
      requested_position: String(position),
      line_position: String(position),
      concurrency_key: 'k',
      concurrency_strategy: 'queue',
      takeable: true,
      hinted_at: null,
    });
  });

  test('says who runs it', async () => {
    await ledger.append('j', requested(), started('r1'));
    await ledger.fold();
    expect(await ledger.job('j')).toMatchObject({
      phase: 'running',
      run_id: 'r1',
      worker_id: 'w1',
      version: 2,
      takeable: false,
    });
  });

  test('is not moved by its steps', async () => {
    await ledger.append('j', requested(), started());
    await ledger.fold();
    await ledger.append('j', stepCompleted('one'));
    await ledger.fold();
    expect(await ledger.job('j')).toMatchObject({ phase: 'running', version: 2, run_id: 'r1' });
  });

  test('waits with what it waits for', async () => {
    const until = later(60_000);
    const wait = { until, request: { topic: 'ast', body: { n: 1 } } };
    await ledger.append('j', requested(), started(), paused(wait));
    await ledger.fold();
    expect(await ledger.job('j')).toMatchObject({
      phase: 'paused',
      run_id: null,
      worker_id: null,
      wait_until: new Date(until),
      wait_topic: 'ast',
      takeable: false,
    });
    expect(await ledger.rows('select * from dispatch.waits')).toEqual([
      {
        job_id: 'j',
        ordinal: 0,
        event: 'done',
        key: null,
        picky: false,
        position: '3',
        requested_position: '1',
      },
    ]);
  });

  test('no longer waits when it is resumed, and remembers the signal', async () => {
    await ledger.append('j', requested(), started(), paused({ until: later(1) }));
    await ledger.fold();
    await ledger.append('j', resumed(signalled('s-1')));
    await ledger.fold();
    expect(await ledger.job('j')).toMatchObject({
      phase: 'resumed',
      takeable: true,
      wait: null,
      wait_until: null,
    });
    expect(await ledger.rows('select * from dispatch.waits')).toEqual([]);
    expect(await ledger.rows('select * from dispatch.used_signals')).toEqual([
      { job_id: 'j', signal_id: 's-1' },
    ]);
  });

  test('retries at its time', async () => {
    await ledger.append('j', requested(), started(), attemptFailed(1, 5_000));
    await ledger.fold();
    expect(await ledger.job('j')).toMatchObject({
      phase: 'retrying',
      next_attempt_at: new Date(later(5_000)),
      takeable: false,
    });
  });

  test('is ready at once when its worker gave it back', async () => {
    await ledger.append('j', requested(), started(), interrupted('released'));
    await ledger.fold();
    expect(await ledger.job('j')).toMatchObject({ phase: 'requested', takeable: true });
  });

  test('retries when its worker fell silent', async () => {
    await ledger.append('j', requested(), started(), interrupted('lease-expired'));
    await ledger.fold();
    expect(await ledger.job('j')).toMatchObject({ phase: 'retrying', takeable: false });
  });

  test.each([completed(), failed(), cancelled, superseded])(
    'is gone with all that belongs to it after $type',
    async (end) => {
      await ledger.append('j', requested(), started(), paused(), resumed(), started(), paused());
      await ledger.fold();
      await ledger.rows(`insert into dispatch.progress (job_id, percent) values ('j', 12.5)`);
      await ledger.append('j', end);
      await ledger.fold();
      for (const table of ['jobs', 'waits', 'used_signals', 'progress']) {
        expect(await ledger.rows(`select * from dispatch.${table}`)).toEqual([]);
      }
    },
  );

  test('is not hinted again because of an old hint once its phase has changed', async () => {
    await ledger.append('j', requested());
    await ledger.fold();
    await ledger.rows('update dispatch.jobs set hinted_at = now()');
    await ledger.append('j', started(), interrupted('released'));
    await ledger.fold();
    expect(await ledger.job('j')).toMatchObject({ hinted_at: null });
  });
});

describe('a page', () => {
  test('may hold the whole life of a job', async () => {
    await ledger.append('j', requested(), started(), paused(), resumed(), started(), completed());
    await ledger.append('k', requested(), started(), paused(), resumed(), started(), paused());
    await ledger.fold();
    expect(await ledger.rows('select job_id, phase from dispatch.jobs')).toEqual([
      { job_id: 'k', phase: 'paused' },
    ]);
    expect(await ledger.rows('select job_id from dispatch.waits')).toEqual([{ job_id: 'k' }]);
    expect(await ledger.rows('select job_id from dispatch.used_signals')).toEqual([
      { job_id: 'k' },
    ]);
  });

  test('says what it touched', async () => {
    await ledger.append('j', requested());
    expect(await ledger.fold()).toMatchObject([{ ready: true, taken: 0, waits: false }]);
    await ledger.append('j', started());
    expect(await ledger.fold()).toMatchObject([{ ready: false, taken: 1, ended: false }]);
    await ledger.append('j', paused({ until: later(1), request: { topic: 'ast', body: null } }));
    expect(await ledger.fold()).toMatchObject([{ waits: true, timers: true, requests: true }]);
    await ledger.signal('s', 'done');
    expect(await ledger.fold()).toMatchObject([{ waits: true, timers: false, ready: false }]);
    await ledger.append('j', resumed(), started('r2'), attemptFailed());
    expect(await ledger.fold()).toMatchObject([{ timers: true, requests: false }]);
    await ledger.append('j', cancelled);
    expect(await ledger.fold()).toMatchObject([{ ended: true, superseding: false }]);
    await ledger.append('k', requested(supersede));
    expect(await ledger.fold()).toMatchObject([{ superseding: true }]);
    await ledger.append('q1', requested({ concurrency: { key: 'q', strategy: 'queue' } }));
    await ledger.append('q2', requested({ concurrency: { key: 'q', strategy: 'queue' } }));
    await ledger.fold();
    await ledger.append('q1', cancelled);
    expect(await ledger.fold()).toMatchObject([{ ready: true }]);
  });

  test('takes names and keys that Postgres would not', async () => {
    const key = `\0 \uD800 ${randomBytes(5_000).toString('hex')}`;
    const on = [{ event: `e${key}`, key }];
    const until = new Date(8.64e15).toISOString();
    await ledger.append(
      'j',
      requested({ concurrency: { key, strategy: 'queue' } }),
      started(),
      paused({ on, until, request: { topic: 'ast', body: { text: key } } }),
    );
    await ledger.signal('s', `e${key}`, key);
    await ledger.fold();
    const [row] = await ledger.rows('select wait from dispatch.jobs');
    expect(row).toMatchObject({ wait: { on, request: { body: { text: key } } } });
    expect(
      await ledger.rows(
        'select 1 from dispatch.waits as w join dispatch.signals as s on (w.event, w.key) = (s.event, s.key)',
      ),
    ).toHaveLength(1);
  });

  test.each([
    ['somebody else leads', { epoch: 1n, from: 0n }],
    ['it was written before', { epoch: 2n, from: 1n }],
  ])('is not written when %s', async (_, { epoch, from }) => {
    await ledger.append('j', requested());
    await ledger.append('k', requested());
    await raiseEpoch(ledger.database, DISPATCH);
    await raiseEpoch(ledger.database, DISPATCH);
    const page = await foldPage(await ledger.store.readAll({ after: from, limit: 1 }), () =>
      Promise.reject(new Error('not asked for')),
    );
    const write = writePage(ledger.database, page, { epoch, from, to: from + 1n });
    await expect(write).rejects.toThrow(CheckpointLost);
    expect(await ledger.rows('select 1 from dispatch.jobs')).toEqual([]);
    expect(await readCheckpoint(ledger.database, DISPATCH)).toBe(0n);
  });
});

describe('a job that is retried by hand', () => {
  test('is open again, at the end of its line and with the signals that it used', async () => {
    const position = await ledger.append('j', requested(queue));
    await ledger.append('j', started(), paused(), resumed(signalled('s-1')), started('r2'));
    await ledger.append('k', requested(queue));
    await ledger.append('j', failed());
    await ledger.fold();
    const retried = await ledger.append('j', retryRequested());
    await ledger.fold();
    expect(await ledger.job('j')).toMatchObject({
      phase: 'requested',
      version: 7,
      requested_position: String(position),
      line_position: String(retried),
      blocked: true,
      repository: 'github/octo/repo',
    });
    expect(await ledger.rows('select * from dispatch.used_signals')).toEqual([
      { job_id: 'j', signal_id: 's-1' },
    ]);
  });

  test('keeps its place when it was open', async () => {
    const position = await ledger.append('j', requested(queue), started(), attemptFailed());
    await ledger.append('k', requested(queue));
    await ledger.fold();
    await ledger.append('j', retryRequested());
    await ledger.fold();
    expect(await ledger.job('j')).toMatchObject({
      phase: 'requested',
      line_position: String(position - 2n),
      blocked: false,
    });
  });
});

describe('jobs of one key', () => {
  test('go one at a time when they queue', async () => {
    const blocked = async (): Promise<unknown> =>
      (await ledger.rows('select job_id from dispatch.jobs where blocked order by 1')).map(
        (row) => row['job_id'],
      );
    await ledger.append('a', requested(queue));
    await ledger.append('b', requested(queue));
    await ledger.append('c', requested(queue));
    await ledger.append('other', requested({ concurrency: { key: 'l', strategy: 'queue' } }));
    await ledger.append('else', requested({ ...queue, workflow: 'other' }));
    await ledger.fold();
    expect(await blocked()).toEqual(['b', 'c']);
    await ledger.append('b', cancelled);
    await ledger.fold();
    expect(await blocked()).toEqual(['c']);
    await ledger.append('a', started(), completed());
    await ledger.fold();
    expect(await blocked()).toEqual([]);
  });

  test('learn of the newest when it supersedes', async () => {
    const by = async (): Promise<unknown> =>
      ledger.rows('select job_id, superseded_by as by from dispatch.jobs order by 1');
    await ledger.append('a', requested(supersede), started());
    await ledger.append('b', requested(supersede));
    await ledger.append('x', requested({ ...supersede, workflow: 'other' }));
    await ledger.fold();
    await ledger.append('c', requested(supersede));
    await ledger.fold();
    expect(await by()).toEqual([
      { job_id: 'a', by: 'c' },
      { job_id: 'b', by: 'c' },
      { job_id: 'c', by: null },
      { job_id: 'x', by: null },
    ]);
    await ledger.append('c', cancelled);
    await ledger.fold();
    expect(await by()).toEqual([
      { job_id: 'a', by: 'b' },
      { job_id: 'b', by: null },
      { job_id: 'x', by: null },
    ]);
  });

  test('stand by their request when one is retried', async () => {
    await ledger.append('old', requested(supersede), started(), failed());
    await ledger.append('new', requested(supersede));
    await ledger.append('old', retryRequested());
    await ledger.fold();
    expect(await ledger.job('old')).toMatchObject({ superseded_by: 'new' });
    expect(await ledger.job('new')).toMatchObject({ superseded_by: null });
  });
});

test('a reset derives everything again', async () => {
  await ledger.append('a', requested(queue));
  await ledger.append('b', requested(queue), started(), paused(), resumed(), cancelled);
  await ledger.append('c', requested(queue), started(), paused());
  await ledger.signal('s', 'done');
  await ledger.fold();
  const all = `
    select (select json_agg(j order by job_id) from dispatch.jobs as j),
           (select json_agg(w) from dispatch.waits as w),
           (select json_agg(s) from dispatch.signals as s)`;
  const before = await ledger.rows(all);
  await ledger.rows(`insert into dispatch.jobs select 'phantom', workflow, null, 1, 1, null, null, 1,
    false, null, 'requested', 1, 1, now(), null, null, null, null, null, null, true, null from dispatch.jobs limit 1`);
  await resetDispatch(ledger.database);
  expect(await ledger.rows('select 1 from dispatch.jobs')).toEqual([]);
  await ledger.fold();
  expect(await ledger.rows(all)).toEqual(before);
});
