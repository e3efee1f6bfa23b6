import { describe, expect, test, vi } from 'vitest';

import { NonRetriable, RetryAfter, StepFailed } from '../../src/sdk/index.ts';
import { engine, gate, workflow } from './engine.ts';

const retry = { maxAttempts: 3, firstDelayMs: 0, maxDelayMs: 0 };

/** A function that fails so often, then gives what it is called with. */
const failing = (failures: number, error: () => unknown = () => new Error('away')) => {
  let left = failures;
  return vi.fn(() => {
    if (left-- > 0) throw error();
    return 'done';
  });
};

describe('a step with tries of its own', () => {
  test('is tried again in a later run, and uses none of the attempts up', async () => {
    const { request, run, last, types } = engine();
    const jobId = await request({ retry: { maxAttempts: 1, firstDelayMs: 0, maxDelayMs: 0 } });
    const fetchPage = failing(2);
    const before = vi.fn(() => 1);
    const review = workflow(async (ctx) => {
      await ctx.step('before', before);
      return await ctx.step('fetch', fetchPage, { retry });
    });
    expect(await run(jobId, review)).toBe('retrying');
    expect((await last(jobId, 'JobAttemptFailed')).data).toMatchObject({
      attempt: 1,
      error: { message: 'away' },
      step: { name: 'fetch' },
      stepTries: { fetch: 1 },
    });
    expect(await run(jobId, review)).toBe('retrying');
    expect((await last(jobId, 'JobAttemptFailed')).data.stepTries).toEqual({ fetch: 2 });
    expect(await run(jobId, review)).toBe('completed');
    expect((await last(jobId, 'JobCompleted')).data).toMatchObject({ attempt: 1, result: 'done' });
    expect(before).toHaveBeenCalledTimes(1);
    expect(await types(jobId)).not.toContain('JobStepFailed');
  });

  test('waits as its own policy says, and as long as it asks for', async () => {
    const { request, run, last } = engine();
    const slow = { maxAttempts: 3, firstDelayMs: 4_000, maxDelayMs: 10_000 };
    const delayOf = async (error: () => unknown, random: number) => {
      const jobId = await request();
      const review = workflow((ctx) => ctx.step('fetch', failing(1, error), { retry: slow }));
      await run(jobId, review, { random: () => random });
      const { at, data } = await last(jobId, 'JobAttemptFailed');
      return Date.parse(data.nextAttemptAt) - at.getTime();
    };
    expect(await delayOf(() => new Error('away'), 0.5)).toBe(2_000);
    expect(await delayOf(() => new RetryAfter('slower', 60_000), 0.5)).toBe(60_000);
  });

  test('fails for good when they are used up, and the workflow may go on', async () => {
    const { request, run, last, events } = engine();
    const jobId = await request();
    const fetchPage = failing(9);
    const seen: unknown[] = [];
    const review = workflow(async (ctx) => {
      try {
        return await ctx.step('fetch', fetchPage, { retry });
      } catch (error) {
        seen.push(error);
        await ctx.waitForEvent('never mind', { timeoutMs: 0 });
        return 'without it';
      }
    });
    await run(jobId, review);
    await run(jobId, review);
    expect(await run(jobId, review)).toBe('paused');
    expect(fetchPage).toHaveBeenCalledTimes(3);
    expect((await last(jobId, 'JobStepFailed')).data).toMatchObject({
      name: 'fetch',
      tries: 3,
      error: { name: 'Error', message: 'away', classification: 'transient' },
    });
    const failed = seen[0];
    expect(failed).toBeInstanceOf(StepFailed);
    expect(failed).toMatchObject({ step: 'fetch', tries: 3, reason: { message: 'away' } });
    expect((await events(jobId)).at(-2)?.type).toBe('JobStepFailed');
  });

  test('fails in every later run as it did in the one that gave it up', async () => {
    const { request, run, resume, last } = engine();
    const jobId = await request();
    const fetchPage = failing(9, () => new NonRetriable('gone'));
    const seen: unknown[] = [];
    const review = workflow(async (ctx) => {
      const page = await ctx.step('fetch', fetchPage, { retry }).catch((error: unknown) => {
        seen.push(error);
        return 'none';
      });
      await ctx.waitForEvent('done');
      return page;
    });
    expect(await run(jobId, review)).toBe('paused');
    await resume(jobId);
    expect(await run(jobId, review)).toBe('completed');
    expect(fetchPage).toHaveBeenCalledTimes(1);
    expect((await last(jobId, 'JobCompleted')).data.result).toBe('none');
    expect(seen).toHaveLength(2);
    expect(seen[1]).toEqual(seen[0]);
  });

  test('fails the job when nobody catches it, and does not replay for ever', async () => {
    const { request, run, last } = engine();
    const jobId = await request();
    const review = workflow((ctx) => ctx.step('fetch', failing(9), { retry: { maxAttempts: 1 } }));
    expect(await run(jobId, review)).toBe('failed');
    expect((await last(jobId, 'JobFailed')).data.error).toMatchObject({
      name: 'StepFailed',
      message: 'Step "fetch" failed for good after 1 try: away',
      classification: 'permanent',
    });
  });

  test('keeps what succeeds beside it, and begins nothing new', async () => {
    const { request, run, types } = engine();
    const jobId = await request();
    const slow = gate();
    const deploy = vi.fn(() => slow.opened);
    const after = vi.fn();
    const lint = failing(1);
    const review = workflow((ctx) =>
      Promise.all([
        ctx.step('deploy', deploy).then(() => ctx.step('after', after)),
        ctx.step(
          'lint',
          () => {
            setImmediate(slow.open);
            return lint();
          },
          { retry },
        ),
      ]),
    );
    expect(await run(jobId, review)).toBe('retrying');
    expect(after).not.toHaveBeenCalled();
    expect(await run(jobId, review)).toBe('completed');
    expect(deploy).toHaveBeenCalledTimes(1);
    expect(await types(jobId)).toEqual([
      'JobRequested',
      'JobStarted',
      'JobStepCompleted',
      'JobAttemptFailed',
      'JobStarted',
      'JobStepCompleted',
      'JobStepCompleted',
      'JobCompleted',
    ]);
  });

  test('is counted beside another that fails in the same run', async () => {
    const { request, run, last } = engine();
    const jobId = await request();
    const a = failing(1);
    const b = failing(1);
    const review = workflow((ctx) =>
      Promise.all([ctx.step('a', a, { retry }), ctx.step('b', b, { retry })]),
    );
    expect(await run(jobId, review)).toBe('retrying');
    expect((await last(jobId, 'JobAttemptFailed')).data.stepTries).toEqual({ a: 1, b: 1 });
    expect(await run(jobId, review)).toBe('completed');
  });

  test('gives way to a failure of the attempt', async () => {
    const { request, run, last } = engine();
    const jobId = await request();
    const review = workflow((ctx) =>
      Promise.all([
        ctx.step('a', failing(1), { retry }),
        ctx.step('b', () => {
          throw new Error('plain');
        }),
      ]),
    );
    expect(await run(jobId, review)).toBe('retrying');
    const { data } = await last(jobId, 'JobAttemptFailed');
    expect(data).toMatchObject({ error: { message: 'plain' }, step: { name: 'b' } });
    expect(data.stepTries).toBeUndefined();
  });

  test('is begun anew when the job is', async () => {
    const { request, run, execute } = engine();
    const jobId = await request();
    const fetchPage = failing(1, () => new NonRetriable('gone'));
    const review = workflow((ctx) => ctx.step('fetch', fetchPage, { retry }));
    expect(await run(jobId, review)).toBe('failed');
    await execute(jobId, { type: 'RetryJob', at: new Date(), data: { fromStep: null } });
    expect(await run(jobId, review)).toBe('completed');
  });

  test.each([
    [{ retry: { maxAttempts: 0 } }, 'retry.maxAttempts'],
    [{ retry: { firstDelayMs: -1 } }, 'retry delays'],
    [{ timeoutMs: 0 }, 'timeoutMs is milliseconds'],
    [{ timeoutMs: Number.NaN }, 'timeoutMs is milliseconds'],
  ])('refuses options that mean nothing: %j', async (options, message) => {
    const { request, run, last } = engine();
    const jobId = await request();
    const review = workflow((ctx) => ctx.step('fetch', () => 1, options).catch(() => 'swallowed'));
    expect(await run(jobId, review)).toBe('failed');
    expect((await last(jobId, 'JobFailed')).data.error.message).toContain(message);
  });
});

test('a failed attempt says the step whose error it was, and a failed job too', async () => {
  const { request, run, last } = engine();
  const jobId = await request({ retry: { maxAttempts: 2, firstDelayMs: 0, maxDelayMs: 0 } });
  const review = workflow((ctx) =>
    ctx.step('fetch', () => {
      throw new Error('away');
    }),
  );
  await run(jobId, review);
  expect((await last(jobId, 'JobAttemptFailed')).data.step).toMatchObject({ name: 'fetch' });
  await run(jobId, review);
  expect((await last(jobId, 'JobFailed')).data.step).toMatchObject({ name: 'fetch' });
});
