import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { Leases } from '../../src/dispatch/leases.ts';
import { IDLE_MS } from '../../src/dispatch/reaction.ts';
import { SignalMatching } from '../../src/dispatch/signal-matching.ts';
import { Superseding } from '../../src/dispatch/superseding.ts';
import { Timers } from '../../src/dispatch/timers.ts';
import { WaitRequests } from '../../src/dispatch/wait-requests.ts';
import { findWaiting } from '../../src/dispatch/waiting-jobs.ts';
import type { Json } from '../../src/events/event.ts';
import type { JobRequest } from '../../src/events/job.ts';
import type { DecideJob, Door } from '../../src/write/door.ts';
import {
  AT,
  attemptFailed,
  completed,
  failed,
  later,
  paused,
  requested,
  resumed,
  retryRequested,
  signalled,
  started,
  stepCompleted,
} from '../support/jobs.ts';
import { FakeTransport, Ledger, silent } from './support.ts';

let ledger: Ledger;
beforeAll(async () => {
  ledger = await Ledger.open();
});
afterAll(async () => {
  await ledger.close();
});
beforeEach(async () => {
  await ledger.wipe();
  ledger.now = AT;
});

const parts = () => ({
  database: ledger.database,
  store: ledger.store,
  door: ledger.door,
  counts: ledger.counts,
  clock: ledger.clock,
});

describe('superseding', () => {
  const supersede: Partial<JobRequest> = { concurrency: { key: 'k', strategy: 'supersede' } };
  const queue: Partial<JobRequest> = { concurrency: { key: 'k', strategy: 'queue' } };
  const run = async (): Promise<void> => {
    await ledger.fold();
    await new Superseding(parts()).runOnce();
  };

  test('the newest job ends all older ones of its key, running ones too', async () => {
    await ledger.append('a', requested(supersede), started());
    await ledger.append('b', requested(supersede));
    await ledger.append('c', requested(supersede), started(), paused());
    await ledger.append('d', requested(supersede));
    await ledger.append('other', requested({ ...supersede, workflow: 'other' }));
    await run();
    for (const id of ['a', 'b', 'c']) {
      expect((await ledger.events(id)).at(-1)).toMatchObject({
        type: 'JobSuperseded',
        data: { by: 'd' },
      });
    }
    expect(await ledger.types('d')).toEqual(['JobRequested']);
    expect(await ledger.types('other')).toEqual(['JobRequested']);
  });

  test('twice is once', async () => {
    await ledger.append('a', requested(supersede));
    await ledger.append('b', requested(supersede));
    await run();
    await new Superseding(parts()).runOnce();
    expect(await ledger.types('a')).toEqual(['JobRequested', 'JobSuperseded']);
  });

  test('a job that has ended meanwhile stays as it is', async () => {
    await ledger.append('a', requested(supersede), started());
    await ledger.append('b', requested(supersede));
    await ledger.fold();
    await ledger.append('a', completed());
    const before = ledger.counts.movedOn;
    await new Superseding(parts()).runOnce();
    expect(await ledger.types('a')).toEqual(['JobRequested', 'JobStarted', 'JobCompleted']);
    expect(ledger.counts.movedOn).toBe(before + 1);
  });

  test('nobody is superseded in a queue', async () => {
    await ledger.append('a', requested(queue));
    await ledger.append('b', requested(queue));
    await run();
    expect(await ledger.types('a')).toEqual(['JobRequested']);
  });
});

describe('a signal', () => {
  const matching = () => new SignalMatching(parts());
  const run = async (reaction = matching()): Promise<void> => {
    await ledger.fold();
    await reaction.runOnce();
  };
  const on = (event: string, key: string | null = null) => ({ on: [{ event, key }] });
  const lastOf = async (id: string): Promise<unknown> => (await ledger.events(id)).at(-1);
  const resumedBy = (signalId: string): object => ({
    type: 'JobResumed',
    data: { outcome: { kind: 'signal', signalId } },
  });

  test('that comes after the pause resumes the job, with its payload', async () => {
    await ledger.append('j', requested(), started(), paused(on('done', 'k')));
    await ledger.signal('s', 'done', 'k', { ok: true });
    await run();
    expect(await lastOf('j')).toMatchObject({
      data: {
        waitId: 'wait:done#0',
        outcome: { kind: 'signal', signalId: 's', event: 'done', key: 'k', payload: { ok: true } },
      },
    });
  });

  test('that came before the pause does too', async () => {
    await ledger.append('j', requested(), started());
    await ledger.signal('s', 'done');
    await ledger.append('j', paused());
    await run();
    expect(await lastOf('j')).toMatchObject(resumedBy('s'));
  });

  test('is found whichever is folded first, by a wait for its key or for any', async () => {
    const reaction = matching();
    await ledger.append('any', requested(), started(), paused(on('done')));
    await ledger.append('key', requested(), started(), paused(on('done', 'k')));
    await ledger.append('late', requested(), started());
    await run(reaction);
    await ledger.signal('s', 'done', 'k');
    await run(reaction);
    expect(await lastOf('any')).toMatchObject(resumedBy('s'));
    expect(await lastOf('key')).toMatchObject(resumedBy('s'));
    await ledger.append('late', paused(on('done', 'k')));
    await run(reaction);
    expect(await lastOf('late')).toMatchObject(resumedBy('s'));
  });

  test('that came before the job was requested is not for it', async () => {
    await ledger.signal('s', 'done');
    await ledger.append('j', requested(), started(), paused());
    await run();
    expect(await lastOf('j')).toMatchObject({ type: 'JobPaused' });
  });

  test.each([
    [{ event: 'done', key: 'a' }, 'done', 'b', false],
    [{ event: 'done', key: 'a' }, 'done', null, false],
    [{ event: 'done', key: 'a' }, 'done', 'a', true],
    [{ event: 'done', key: null }, 'done', 'a', true],
    [{ event: 'done', key: null }, 'else', null, false],
  ])('to a wait for %o: %s with key %s resumes it: %s', async (awaited, event, key, resumes) => {
    await ledger.append('j', requested(), started(), paused({ on: [awaited] }));
    await ledger.signal('s', event, key);
    await run();
    expect((await ledger.types('j')).includes('JobResumed')).toBe(resumes);
    expect(await findWaiting(ledger.database, event, key)).toHaveLength(resumes ? 1 : 0);
  });

  test('wakes all that wait for it', async () => {
    const ids = Array.from({ length: 20 }, (_, n) => `j${String(n)}`);
    for (const id of ids) await ledger.append(id, requested(), started(), paused());
    await ledger.signal('s', 'done');
    await run();
    for (const id of ids) expect(await lastOf(id)).toMatchObject(resumedBy('s'));
  });

  test('that is the oldest unused one is taken first, over all that the wait is for', async () => {
    const either = { on: [on('late').on, on('early', 'k').on].flat() };
    await ledger.append('j', requested(), started());
    await ledger.signal('s1', 'early', 'k');
    await ledger.signal('s2', 'late');
    await ledger.signal('s3', 'early', 'k');
    await ledger.append('j', paused(either));
    const reaction = matching();
    await run(reaction);
    expect(await lastOf('j')).toMatchObject(resumedBy('s1'));
    await ledger.append('j', started('r2'), paused({ ...either, id: 'second' }, 'r2'));
    await run(reaction);
    expect(await lastOf('j')).toMatchObject(resumedBy('s2'));
    await ledger.append('j', started('r3'), paused({ ...either, id: 'third' }, 'r3'));
    await run(reaction);
    expect(await lastOf('j')).toMatchObject(resumedBy('s3'));
    await ledger.append('j', started('r4'), paused({ ...either, id: 'fourth' }, 'r4'));
    await run(reaction);
    expect(await lastOf('j')).toMatchObject({ type: 'JobPaused' });
  });

  test('that a job used is not used again by the same job after a retry', async () => {
    await ledger.append('j', requested(), started());
    await ledger.signal('s1', 'done');
    await ledger.append('j', paused(), resumed(signalled('s1')), started('r2'), failed());
    await ledger.fold();
    await ledger.append('j', retryRequested(), started('r3'), paused({ id: 'again' }, 'r3'));
    const reaction = matching();
    await run(reaction);
    expect(await lastOf('j')).toMatchObject({ type: 'JobPaused' });
    await ledger.signal('s2', 'done');
    await run(reaction);
    expect(await lastOf('j')).toMatchObject(resumedBy('s2'));
  });

  test('is compared again after a failure', async () => {
    await ledger.append('j', requested(), started(), paused());
    await ledger.signal('s', 'done');
    await ledger.fold();
    let works = false;
    const execute = (command: DecideJob) =>
      works ? ledger.door.execute(command) : Promise.reject(new Error('away'));
    const reaction = new SignalMatching({ ...parts(), door: { execute } as Door });
    await expect(reaction.runOnce()).rejects.toThrow('away');
    works = true;
    await reaction.runOnce();
    expect(await lastOf('j')).toMatchObject(resumedBy('s'));
  });
});

describe('a timer', () => {
  let woken = 0;
  const timers = () =>
    new Timers({
      ...parts(),
      hintsWake: {
        announce: () => {
          woken++;
        },
      },
      ratesWake: { announce: () => undefined },
    });
  const passMs = (ms: number): void => {
    ledger.now = new Date(ledger.now.getTime() + ms);
  };

  test('ends a wait when its time is over, and not before', async () => {
    await ledger.append('j', requested(), started(), paused({ until: later(60_000) }));
    await ledger.append('k', requested(), started(), paused());
    await ledger.fold();
    passMs(59_999);
    expect(await timers().runOnce()).toBe(1);
    expect(await ledger.types('j')).not.toContain('JobResumed');
    passMs(1);
    expect(await timers().runOnce()).toBe(IDLE_MS);
    expect((await ledger.events('j')).at(-1)).toMatchObject({
      type: 'JobResumed',
      at: ledger.now,
      data: { waitId: 'wait:done#0', outcome: { kind: 'timeout' } },
    });
    expect(await ledger.types('k')).not.toContain('JobResumed');
  });

  test('fires once for a wait, and again at the same place after a retry', async () => {
    const wait = { until: later(1_000) };
    const resumptions = async (): Promise<number> =>
      (await ledger.types('j')).filter((type) => type === 'JobResumed').length;
    await ledger.append('j', requested(), started(), stepCompleted('one'), paused(wait));
    await ledger.fold();
    passMs(1_000);
    await timers().runOnce();
    await timers().runOnce();
    expect(await resumptions()).toBe(1);
    await ledger.append('j', started('r2'), failed(), retryRequested('one'));
    await ledger.append('j', started('r3'), paused(wait, 'r3'));
    await ledger.fold();
    await timers().runOnce();
    expect(await resumptions()).toBe(2);
  });

  test('lets a retrying job be taken when it is due, and wakes the hints', async () => {
    await ledger.append('j', requested(), started(), attemptFailed(1, 5_000));
    await ledger.fold();
    woken = 0;
    expect(await timers().runOnce()).toBe(5_000);
    expect(woken).toBe(0);
    passMs(5_000);
    expect(await timers().runOnce()).toBe(IDLE_MS);
    expect(woken).toBe(1);
    expect(await ledger.job('j')).toMatchObject({ takeable: true, phase: 'retrying' });
  });

  test('says when the next one is due', async () => {
    expect(await timers().runOnce()).toBe(IDLE_MS);
    await ledger.append('a', requested(), started(), paused({ until: later(3_000) }));
    await ledger.append('b', requested(), started(), attemptFailed(1, 2_000));
    await ledger.fold();
    expect(await timers().runOnce()).toBe(2_000);
    passMs(2_500);
    expect(await timers().runOnce()).toBe(500);
  });
});

describe('a request of a waiting job', () => {
  const transport = new FakeTransport();
  beforeEach(() => {
    transport.published.length = 0;
    transport.ready = true;
  });
  const requests = () =>
    new WaitRequests({ ...parts(), transport, redispatchAfterMs: 30_000, logger: silent });
  const asks = (body: Json) => paused({ request: { topic: 'ast', body } });

  test('is published at the pause, and again after a while', async () => {
    await ledger.append('j', requested(), started(), asks({ files: ['a.ts'], jobId: 'wrong' }));
    await ledger.append('k', requested(), started(), paused());
    await ledger.fold();
    expect(await requests().runOnce()).toBeGreaterThan(29_000);
    expect(transport.published).toEqual([
      {
        exchange: 'workflow.events',
        routingKey: 'request.ast',
        messageId: 'j:3',
        body: { jobId: 'j', waitId: 'wait:done#0', files: ['a.ts'] },
      },
    ]);
    await requests().runOnce();
    expect(transport.published).toHaveLength(1);
    await ledger.rows(`update dispatch.jobs set hinted_at = hinted_at - interval '31 s'`);
    await requests().runOnce();
    expect(transport.published).toHaveLength(2);
  });

  test('that is no object is published as body', async () => {
    await ledger.append('j', requested(), started(), asks([1]));
    await ledger.fold();
    await requests().runOnce();
    expect(transport.published[0]?.body).toEqual({
      jobId: 'j',
      waitId: 'wait:done#0',
      body: [1],
    });
  });

  test('is not published once the job goes on', async () => {
    await ledger.append('j', requested(), started(), asks(null), resumed());
    await ledger.fold();
    expect(await requests().runOnce()).toBe(IDLE_MS);
    expect(transport.published).toEqual([]);
  });

  test('waits for a broker that is away', async () => {
    await ledger.append('j', requested(), started(), asks(null));
    await ledger.fold();
    transport.ready = false;
    await requests().runOnce();
    transport.ready = true;
    await requests().runOnce();
    expect(transport.published).toHaveLength(1);
  });
});

describe('a worker', () => {
  const leaseMs = 5_000;
  const leases = () => new Leases({ ...parts(), leaseMs });
  const worker = (id: string, silentMs: number) =>
    ledger.rows(`
      insert into dispatch.workers (id, host, concurrency, last_seen_at)
      values ('${id}', 'h', 1, clock_timestamp() - interval '${String(silentMs)} ms')`);
  /** The server was started for the tests, a moment ago. */
  const serverIsOld = async (): Promise<void> => {
    await ledger.rows(`select pg_sleep(greatest(0, 5.1 - extract(epoch from
      clock_timestamp() - pg_postmaster_start_time())))`);
  };
  beforeAll(serverIsOld);

  test('that is silent past its lease loses its jobs, and its row when it has none left', async () => {
    await ledger.append('j', requested(), started('r1'));
    await ledger.append('idle', requested());
    await ledger.fold();
    await worker('w1', 5_500);
    await worker('w2', 5_500);
    await leases().runOnce();
    expect((await ledger.events('j')).at(-1)).toMatchObject({
      type: 'JobInterrupted',
      data: { runId: 'r1', reason: 'lease-expired' },
    });
    expect(await ledger.types('idle')).toEqual(['JobRequested']);
    expect(await ledger.rows('select id from dispatch.workers')).toEqual([{ id: 'w1' }]);
    await ledger.fold();
    await leases().runOnce();
    expect(await ledger.rows('select id from dispatch.workers')).toEqual([]);
    expect(await ledger.types('j')).toHaveLength(3);
  });

  test('that is heard of keeps them', async () => {
    await ledger.append('j', requested(), started());
    await ledger.fold();
    await worker('w1', 3_000);
    await leases().runOnce();
    expect(await ledger.types('j')).toEqual(['JobRequested', 'JobStarted']);
    expect(await ledger.rows('select id from dispatch.workers')).toHaveLength(1);
  });

  test('without a row loses a job after the time of a lease', async () => {
    await ledger.append('j', requested(), started());
    await ledger.fold();
    await leases().runOnce();
    expect(await ledger.types('j')).toEqual(['JobRequested', 'JobStarted']);
    await ledger.rows(`update dispatch.jobs set since = since - interval '6 s'`);
    await leases().runOnce();
    expect(await ledger.types('j')).toContain('JobInterrupted');
  });

  test('gets the time of a lease when nobody could look for a while', async () => {
    await ledger.append('j', requested(), started());
    await ledger.fold();
    await worker('w1', 60_000);
    const reaction = leases();
    ledger.now = new Date(ledger.now.getTime() + 60_000);
    await reaction.runOnce();
    expect(await ledger.types('j')).toEqual(['JobRequested', 'JobStarted']);
    for (let ms = 0; ms < leaseMs; ms += 1_000) {
      ledger.now = new Date(ledger.now.getTime() + 1_000);
      await reaction.runOnce();
    }
    expect(await ledger.types('j')).toContain('JobInterrupted');
  });
});
