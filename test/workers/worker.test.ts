import { randomUUID } from 'node:crypto';

import { afterEach, describe, expect, test, vi } from 'vitest';

import { QUEUES } from '../../src/messaging/topology.ts';
import type { Workflow } from '../../src/sdk/index.ts';
import type { Door } from '../../src/write/door.ts';
import { eventually } from '../support/eventually.ts';
import { cancel, fail, interrupt, start as startJob } from '../support/jobs.ts';
import { gate, workflow } from './engine.ts';
import { station } from './station.ts';

let open: ReturnType<typeof station>[] = [];
const at = (...workflows: readonly Workflow[]): ReturnType<typeof station> => {
  const one = station(workflows);
  open.push(one);
  return one;
};
afterEach(async () => {
  await Promise.all(open.map((one) => one.close()));
  open = [];
});

const NOW = (): { at: Date } => ({ at: new Date() });

describe('a worker', () => {
  test('runs the job of a hint to its end, over a pause', async () => {
    const review = workflow(async (ctx) => {
      const n = await ctx.step('one', () => 1);
      const signal = await ctx.waitForEvent('done');
      return { n, payload: signal?.payload ?? null };
    });
    const { start, request, hint, until, resume } = at(review);
    start();
    const jobId = await request();
    await hint(jobId);
    await until(jobId, 'JobPaused');
    await resume(jobId, 'hello');
    await hint(jobId, 'resumed');
    expect((await until(jobId, 'JobCompleted')).data.result).toEqual({ n: 1, payload: 'hello' });
  });

  test('registers before it takes anything', async () => {
    const { start, request, hint, until, database, transport } = at(workflow(async () => 1));
    database.state = 'down';
    const { worker } = start();
    const jobId = await request();
    await hint(jobId);
    await new Promise(setImmediate);
    expect(worker.isReady()).toBe(false);
    expect((await transport.queues()).find(({ name }) => name === QUEUES.jobs)?.ready).toBe(1);
    database.state = 'up';
    const { data } = await until(jobId, 'JobStarted');
    expect(database.matching('insert into dispatch.workers')[0]?.values[0]).toBe(data.workerId);
  });

  test('acknowledges a hint as soon as the job is claimed, not when it is done', async () => {
    const done = gate();
    const { start, request, hint, until, transport } = at(workflow(() => done.opened));
    start();
    const jobId = await request();
    await hint(jobId);
    await until(jobId, 'JobStarted');
    await eventually(async () => {
      const jobs = (await transport.queues()).find(({ name }) => name === QUEUES.jobs);
      expect(jobs).toMatchObject({ ready: 0, unacknowledged: 0 });
    });
    done.open();
    await until(jobId, 'JobCompleted');
  });

  test('a hint that comes many times is one run', async () => {
    const run = vi.fn(async () => 1);
    const { start, request, hint, until, types } = at(workflow(run));
    start({ workerConcurrency: 4 });
    start({ workerConcurrency: 4 });
    const jobId = await request();
    await Promise.all(Array.from({ length: 50 }, () => hint(jobId)));
    await until(jobId, 'JobCompleted');
    await eventually(async () => {
      expect(await types(jobId)).toEqual(['JobRequested', 'JobStarted', 'JobCompleted']);
    });
    expect(run).toHaveBeenCalledTimes(1);
  });

  test('hints of jobs that have ended, are unknown or not due are dropped', async () => {
    const { start, request, hint, execute, transport } = at(workflow(async () => 1));
    const { worker } = start();
    const ended = await request();
    await execute(ended, { ...cancel, ...NOW() });
    const taken = await request();
    await execute(taken, { ...startJob('other run'), ...NOW() });
    for (const jobId of [ended, taken, randomUUID()]) await hint(jobId);
    await eventually(async () => {
      const jobs = (await transport.queues()).find(({ name }) => name === QUEUES.jobs);
      expect(jobs).toMatchObject({ ready: 0, unacknowledged: 0 });
      expect(worker.running).toBe(0);
    });
  });

  test('a retry whose time has come by another clock is taken a moment later', async () => {
    const { start, request, hint, until, execute } = at(workflow(async () => 1));
    const jobId = await request({ retry: { maxAttempts: 2, firstDelayMs: 50, maxDelayMs: 50 } });
    await execute(jobId, { ...startJob('first'), ...NOW() });
    await execute(jobId, { ...fail('first'), ...NOW() });
    start();
    await hint(jobId);
    expect((await until(jobId, 'JobCompleted')).data.attempt).toBe(2);
  });

  test('what is no hint is dead', async () => {
    const { start, transport } = at(workflow(async () => 1));
    start();
    await transport.publish({
      exchange: 'workflow.jobs',
      routingKey: 'new.review',
      messageId: 'odd',
      body: { job: 1 },
    });
    await eventually(async () => {
      const dead = (await transport.queues()).find(({ name }) => name === QUEUES.dead);
      expect(dead?.ready).toBe(1);
    });
  });

  test('a job of a workflow that no worker has is left alone, without spinning', async () => {
    const { start, request, hint, types, transport } = at(workflow(async () => 1));
    start();
    const jobId = await request({ workflow: 'elsewhere' });
    await hint(jobId, 'new', { workflow: 'elsewhere' });
    await eventually(async () => {
      const jobs = (await transport.queues()).find(({ name }) => name === QUEUES.jobs);
      expect(jobs).toMatchObject({ ready: 0, unacknowledged: 0 });
    });
    expect(await types(jobId)).toEqual(['JobRequested']);
  });

  test('never runs more jobs than it may, and runs them all', async () => {
    let running = 0;
    let most = 0;
    const review = workflow(async (ctx) => {
      running++;
      most = Math.max(most, running);
      await ctx.step('one', () => new Promise((resolve) => setTimeout(resolve, 2)));
      running--;
    });
    const { start, request, hint, until } = at(review);
    start({ workerConcurrency: 3 });
    const jobIds = await Promise.all(Array.from({ length: 60 }, () => request()));
    for (const [index, jobId] of jobIds.entries()) await hint(jobId, index % 2 ? 'new' : 'resumed');
    await Promise.all(jobIds.map((jobId) => until(jobId, 'JobCompleted')));
    expect(most).toBe(3);
  });

  test('a busy worker leaves hints to an idle one', async () => {
    const long = gate();
    const { start, request, hint, until } = at(
      workflow((ctx) => ctx.step('long', () => long.opened)),
      workflow(async () => 1, { name: 'short' }),
    );
    const { worker: busy } = start({ workerConcurrency: 1 });
    const first = await request();
    await hint(first);
    await until(first, 'JobStarted');
    await eventually(() => {
      expect(busy.running).toBe(1);
    });
    const second = await request({ workflow: 'short' });
    await hint(second, 'new', { workflow: 'short' });
    start({ workerConcurrency: 1 });
    await until(second, 'JobCompleted');
    expect(busy.running).toBe(1);
    long.open();
    await until(first, 'JobCompleted');
  });

  test('a full worker consumes nothing until a slot is free', async () => {
    const long = gate();
    const { start, request, hint, until, transport } = at(workflow(() => long.opened));
    let rounds = 0;
    start({
      workerConcurrency: 1,
      transport: {
        consume: (consumer, signal) => {
          rounds++;
          return transport.consume(consumer, signal);
        },
      },
    });
    const [first, second] = [await request(), await request()];
    await hint(first);
    await until(first, 'JobStarted');
    await hint(second);
    await eventually(async () => {
      const jobs = (await transport.queues()).find(({ name }) => name === QUEUES.jobs);
      expect(jobs).toMatchObject({ ready: 1, consumers: 0 });
    });
    const before = rounds;
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(rounds).toBe(before);
    long.open();
    await until(second, 'JobCompleted');
  });

  test('a resumed job goes before new ones that wait for the same slot', async () => {
    const first = gate();
    const order: string[] = [];
    const { start, request, hint, until, transport } = at(
      workflow(async ({ job }) => {
        order.push(job.id);
        if (order.length === 1) await first.opened;
      }),
    );
    start({ workerConcurrency: 1 });
    const [running, fresh, resumed] = [await request(), await request(), await request()];
    await hint(running);
    await until(running, 'JobStarted');
    await hint(fresh);
    await hint(resumed, 'resumed');
    await eventually(
      async () => {
        const depths = await transport.queues();
        for (const queue of [QUEUES.jobs, QUEUES.resumedJobs]) {
          expect(depths.find(({ name }) => name === queue)?.unacknowledged).toBe(1);
        }
      },
      { everyMs: 1 },
    );
    first.open();
    await Promise.all([until(fresh, 'JobCompleted'), until(resumed, 'JobCompleted')]);
    expect(order).toEqual([running, resumed, fresh]);
  });

  test('goes on when the log is away for a moment while it claims', async () => {
    const { start, request, hint, until, door, types } = at(workflow(async () => 1));
    let failures = 3;
    const flaky = {
      execute: async (command: never): Promise<unknown> => {
        const answer: unknown = await door.execute(command);
        if (failures-- > 0) throw new Error('connection lost');
        return answer;
      },
    } as unknown as Door;
    start({ door: flaky });
    const jobId = await request();
    await hint(jobId);
    await until(jobId, 'JobCompleted');
    expect(await types(jobId)).toEqual(['JobRequested', 'JobStarted', 'JobCompleted']);
  });

  test('outlives what a workflow forgot to await, and fails that attempt', async () => {
    const careless = workflow(
      async (ctx) => {
        void ctx.step('forgotten', () => Promise.reject(new Error('stray')));
        await ctx.step('awaited', () => new Promise((resolve) => setTimeout(resolve, 50)));
      },
      { name: 'careless' },
    );
    const { start, request, hint, until } = at(
      careless,
      workflow(async () => 1),
    );
    start();
    const jobId = await request({ workflow: 'careless' });
    await hint(jobId, 'new', { workflow: 'careless' });
    expect((await until(jobId, 'JobAttemptFailed')).data.error.message).toBe('stray');
    const next = await request();
    await hint(next);
    await until(next, 'JobCompleted');
  });

  test('tells how runs ended', async () => {
    const onRunEnd = vi.fn();
    const { start, request, hint, until } = at(workflow(async () => 1));
    start({ onRunEnd });
    const jobId = await request();
    await hint(jobId);
    await until(jobId, 'JobCompleted');
    await eventually(() => {
      expect(onRunEnd).toHaveBeenCalledWith({
        workflow: 'review',
        end: 'completed',
        seconds: expect.any(Number),
      });
    });
  });
});

describe('a job that is taken away', () => {
  const untilAborted = (signal: AbortSignal): Promise<string> =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        resolve((signal.reason as Error).message);
      });
    });

  test.each([
    ['cancelled', { ...cancel, ...NOW() }, 'the job was cancelled'],
    [
      'superseded',
      { type: 'SupersedeJob', ...NOW(), data: { by: 'newer' } } as const,
      'a newer job took its place',
    ],
  ])('hears that it was %s through its signal', async (_, command, reason) => {
    const heard = gate<string>();
    const { start, request, hint, until, execute } = at(
      workflow((ctx) =>
        ctx.step('long', async () => {
          heard.open(await untilAborted(ctx.signal));
        }),
      ),
    );
    const { worker } = start();
    const jobId = await request();
    await hint(jobId);
    await until(jobId, 'JobStarted');
    const from = performance.now();
    await execute(jobId, command);
    expect(await heard.opened).toContain(reason);
    expect(performance.now() - from).toBeLessThan(1_000);
    await eventually(() => {
      expect(worker.running).toBe(0);
    });
  });

  test('news of an earlier run does not stop the run that came after it', async () => {
    const done = gate();
    const { start, request, hint, until, execute, events } = at(workflow(() => done.opened));
    const jobId = await request();
    await execute(jobId, { ...startJob('earlier'), ...NOW() });
    await execute(jobId, { ...interrupt('released', 'earlier'), ...NOW() });
    const late = gate();
    start({
      async *notices(signal) {
        await late.opened;
        for (const { type, position } of await events(jobId)) {
          if (type === 'JobInterrupted') yield [{ jobId, type, position }];
        }
        done.open();
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve);
        });
      },
    });
    await hint(jobId);
    await eventually(async () => {
      expect((await events(jobId)).filter(({ type }) => type === 'JobStarted')).toHaveLength(2);
    });
    late.open();
    await until(jobId, 'JobCompleted');
  });

  test('hears of a cancellation that the log tells before the claim has its answer', async () => {
    const { start, request, hint, until, execute, door, store } = at(
      workflow((ctx) => ctx.step('long', () => untilAborted(ctx.signal))),
    );
    const told = gate();
    const late = {
      execute: async (command: { command?: { type: string } }): Promise<unknown> => {
        const answer: unknown = await door.execute(command as never);
        if (command.command?.type === 'StartJob') await told.opened;
        return answer;
      },
    } as unknown as Door;
    const jobId = await request();
    const ended = gate<string>();
    start({
      door: late,
      onRunEnd: ({ end }) => {
        ended.open(end);
      },
      async *notices(signal) {
        const { position } = await until(jobId, 'JobCancelled');
        yield [{ jobId, type: 'JobCancelled', position }];
        told.open();
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve);
        });
      },
    });
    await hint(jobId);
    await until(jobId, 'JobStarted');
    await execute(jobId, { ...cancel, ...NOW() });
    expect(await ended.opened).toBe('lost');
    expect((await store.readStream(jobId)).at(-1)?.type).toBe('JobCancelled');
  });
});

describe('a worker that stops', () => {
  test('lets the step under way end, gives the job back, and takes its row away', async () => {
    const slow = gate();
    const review = workflow(async (ctx) => {
      await ctx.step('slow', () => slow.opened);
      return await ctx.step('next', () => 'done');
    });
    const { start, request, hint, until, database, types } = at(review);
    const { stop, worker } = start();
    const jobId = await request();
    await hint(jobId);
    const { data } = await until(jobId, 'JobStarted');
    await eventually(() => {
      expect(worker.running).toBe(1);
    });
    const stopped = stop();
    slow.open();
    await stopped;
    expect((await until(jobId, 'JobInterrupted')).data.reason).toBe('released');
    expect(database.matching('delete from dispatch.workers').map(({ values }) => values)).toEqual([
      [data.workerId],
    ]);
    start();
    await hint(jobId);
    expect((await until(jobId, 'JobCompleted')).data).toMatchObject({ attempt: 1, result: 'done' });
    expect(await types(jobId)).toEqual([
      'JobRequested',
      'JobStarted',
      'JobStepCompleted',
      'JobInterrupted',
      'JobStarted',
      'JobStepCompleted',
      'JobCompleted',
    ]);
  });

  test('gives a job back whose claim was on its way, before its first step', async () => {
    const one = vi.fn();
    const { start, request, hint, until, door } = at(workflow((ctx) => ctx.step('one', one)));
    const answer = gate();
    const late = {
      execute: async (command: { command?: { type: string } }): Promise<unknown> => {
        const answered: unknown = await door.execute(command as never);
        if (command.command?.type === 'StartJob') await answer.opened;
        return answered;
      },
    } as unknown as Door;
    const { stop } = start({ door: late });
    const jobId = await request();
    await hint(jobId);
    await until(jobId, 'JobStarted');
    const stopped = stop();
    answer.open();
    await stopped;
    expect((await until(jobId, 'JobInterrupted')).data.reason).toBe('released');
    expect(one).not.toHaveBeenCalled();
  });

  test('takes nothing more, and says so in its row', async () => {
    const slow = gate();
    const { start, request, hint, until, database, transport } = at(
      workflow((ctx) => ctx.step('slow', () => slow.opened)),
    );
    const { stop } = start();
    const [running, waiting] = [await request(), await request()];
    await hint(running);
    await until(running, 'JobStarted');
    const stopped = stop();
    await hint(waiting);
    await eventually(() => {
      const beats = database.matching('insert into dispatch.workers');
      expect(beats.at(-1)?.values).toContain(true);
    });
    slow.open();
    await stopped;
    expect((await transport.queues()).find(({ name }) => name === QUEUES.jobs)?.ready).toBe(1);
  });

  test('gives back at the end of the grace what has not ended by then', async () => {
    const begun = gate();
    const { start, request, hint, until } = at(
      workflow((ctx) =>
        ctx.step('endless', () => {
          begun.open();
          return new Promise((resolve) => {
            ctx.signal.addEventListener('abort', resolve);
          });
        }),
      ),
    );
    const { stop } = start({ shutdownGraceMs: 200 });
    const jobId = await request();
    await hint(jobId);
    await begun.opened;
    const from = performance.now();
    await stop();
    expect(performance.now() - from).toBeLessThan(1_000);
    expect((await until(jobId, 'JobInterrupted')).data.reason).toBe('released');
  });

  test('stops within the grace though its code heeds nothing and the log is away', async () => {
    const begun = gate();
    const { start, request, hint, door, database } = at(
      workflow((ctx) =>
        ctx.step('deaf', () => {
          begun.open();
          return new Promise(() => {});
        }),
      ),
    );
    let isAway = false;
    let asked = 0;
    const away = {
      execute: (command: never): unknown => {
        asked++;
        return isAway ? Promise.reject(new Error('refused')) : door.execute(command);
      },
    } as unknown as Door;
    const { stop } = start({ shutdownGraceMs: 200, door: away });
    const jobId = await request();
    await hint(jobId);
    await begun.opened;
    isAway = true;
    database.state = 'down';
    const from = performance.now();
    await stop();
    expect(performance.now() - from).toBeLessThan(1_000);
    // Nothing of it goes on behind our back.
    const before = asked;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(asked).toBe(before);
  });

  test('stops at once when it has never reached the database', async () => {
    const { start, database } = at(workflow(async () => 1));
    database.state = 'hanging';
    const { stop } = start();
    await stop();
    expect(database.statements).toEqual([]);
  });
});

describe('a worker that cannot reach the database for a lease', () => {
  test('drops its jobs, registers under a new id, and gives back what it dropped', async () => {
    const dropped = gate<string>();
    const review = workflow(async (ctx) => {
      await ctx.step('long', async () => {
        if (ctx.signal.aborted) return;
        await new Promise<void>((resolve) => {
          ctx.signal.addEventListener('abort', () => {
            dropped.open((ctx.signal.reason as Error).message);
            resolve();
          });
          begun.open();
        });
      });
    });
    let begun = gate();
    const { start, request, hint, until, database, events } = at(review);
    const { worker } = start({ leaseMs: 1_500, shutdownGraceMs: 100 });
    const jobId = await request();
    await hint(jobId);
    const first = await until(jobId, 'JobStarted');
    await begun.opened;
    database.state = 'hanging';
    expect(await dropped.opened).toContain('could not reach the database');
    expect(worker.isReady()).toBe(false);
    expect(await events(jobId)).toHaveLength(2);
    begun = gate();
    database.state = 'up';
    expect((await until(jobId, 'JobInterrupted')).data).toMatchObject({
      reason: 'released',
      attempt: 1,
    });
    await hint(jobId);
    await begun.opened;
    const starts = (await events(jobId)).filter((event) => event.type === 'JobStarted');
    expect(starts).toHaveLength(2);
    expect(starts[1]?.data.workerId).not.toBe(first.data.workerId);
  });

  test('has lost its lease too when its process stood still for so long', async () => {
    const dropped = gate();
    const { start, request, hint, until } = at(
      workflow((ctx) =>
        ctx.step('blocking', async () => {
          ctx.signal.addEventListener('abort', () => {
            dropped.open();
          });
          await new Promise(setImmediate);
          const end = performance.now() + 700;
          while (performance.now() < end);
          await dropped.opened;
        }),
      ),
    );
    start({ leaseMs: 500 });
    const jobId = await request();
    await hint(jobId);
    await until(jobId, 'JobStarted');
    await dropped.opened;
    expect((await until(jobId, 'JobInterrupted')).data.reason).toBe('released');
  });
});
