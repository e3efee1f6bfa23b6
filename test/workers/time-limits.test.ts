import { describe, expect, test, vi } from 'vitest';

import { engine, gate, workflow } from './engine.ts';

/** Timers that are over when the test says so. */
const timers = () => {
  const set: { ms: number; over: () => void }[] = [];
  const timer = (ms: number, over: () => void) => {
    const one = { ms, over };
    set.push(one);
    return () => {
      set.splice(set.indexOf(one), 1);
    };
  };
  const expire = (ms: number) => {
    set.find((one) => one.ms === ms)?.over();
  };
  return { set, timer, expire };
};

const forever = () => new Promise<never>(() => {});

describe('the time of a step', () => {
  test('fails it, whatever its code does, and its signal says so', async () => {
    const { request, run, last } = engine();
    const { timer, expire } = timers();
    const jobId = await request();
    const leftBehind = vi.fn();
    let signal: AbortSignal | null = null;
    const review = workflow(async (ctx) => {
      await ctx.step(
        'slow',
        (call) => {
          ({ signal } = call);
          setImmediate(expire, 500);
          return new Promise((resolve) => {
            call.signal.addEventListener('abort', () => setImmediate(resolve));
          });
        },
        { timeoutMs: 500 },
      );
    });
    expect(await run(jobId, review, { timer, onLeftBehind: leftBehind })).toBe('retrying');
    expect((await last(jobId, 'JobAttemptFailed')).data).toMatchObject({
      error: {
        name: 'TimeoutError',
        message: 'Step "slow" took longer than its 500 ms',
        classification: 'timeout',
      },
      step: { name: 'slow' },
    });
    expect(signal).toMatchObject({ aborted: true, reason: { name: 'TimeoutError' } });
    expect(leftBehind).not.toHaveBeenCalled();
  });

  test('may be caught like any failure, and what the code gives later is not kept', async () => {
    const { request, run, types } = engine();
    const { timer, expire } = timers();
    const jobId = await request();
    const late = gate<string>();
    const review = workflow(async (ctx) => {
      const slow = ctx.step(
        'slow',
        () => {
          setImmediate(expire, 500);
          return late.opened;
        },
        { timeoutMs: 500 },
      );
      const given = await slow.catch((error: unknown) => (error as Error).name);
      late.open('too late');
      await ctx.step('next', () => 1);
      return given;
    });
    expect(await run(jobId, review, { timer })).toBe('completed');
    expect(await types(jobId)).toEqual([
      'JobRequested',
      'JobStarted',
      'JobStepCompleted',
      'JobCompleted',
    ]);
  });

  test('does not give the slot back before the code has ended, or was left behind', async () => {
    const { request, run, last } = engine();
    const { timer, expire } = timers();
    const jobId = await request();
    const late = gate();
    let over = false;
    const slow = () => {
      setImmediate(expire, 500);
      return late.opened;
    };
    const review = workflow((ctx) => ctx.step('slow', slow, { timeoutMs: 500 }));
    const running = run(jobId, review, { timer }).finally(() => {
      over = true;
    });
    await vi.waitFor(async () => {
      expect((await last(jobId, 'JobAttemptFailed')).data.error.classification).toBe('timeout');
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(over).toBe(false);
    late.open();
    expect(await running).toBe('retrying');
  });

  test('uses up a try of the step, where it has its own', async () => {
    const { request, run, last } = engine();
    const { timer, expire } = timers();
    const jobId = await request();
    const slow = vi.fn(() => {
      setImmediate(expire, 500);
      return forever();
    });
    const options = {
      timeoutMs: 500,
      retry: { maxAttempts: 1, firstDelayMs: 0, maxDelayMs: 0 },
    };
    const review = workflow((ctx) => ctx.step('slow', slow, options));
    // It is left behind after a while; the report comes before.
    void run(jobId, review, { timer });
    await vi.waitFor(async () => {
      expect((await last(jobId, 'JobStepFailed')).data.error.classification).toBe('timeout');
    });
  });

  test('is over when the step is', async () => {
    const { request, run } = engine();
    const { set, timer } = timers();
    const jobId = await request();
    const limits: number[] = [];
    const review = workflow(async (ctx) => {
      const step = async () => {
        await Promise.resolve();
        limits.push(...set.map(({ ms }) => ms));
      };
      await ctx.step('a', step, { timeoutMs: 500 });
      expect(set).toEqual([]);
    });
    expect(await run(jobId, review, { timer })).toBe('completed');
    expect(limits).toEqual([500]);
  });

  test('ends when the run does: the signal of a step is that of the run too', async () => {
    const { request, run } = engine();
    const { timer } = timers();
    const jobId = await request();
    const lost = new AbortController();
    const aborted = vi.fn();
    const review = workflow((ctx) =>
      ctx.step(
        'slow',
        ({ signal }) =>
          new Promise<void>((resolve) => {
            signal.addEventListener('abort', () => {
              aborted(signal.reason);
              resolve();
            });
            lost.abort(new Error('the job was cancelled'));
          }),
        { timeoutMs: 500 },
      ),
    );
    expect(await run(jobId, review, { timer, signals: { lost: lost.signal } })).toBe('lost');
    expect(aborted).toHaveBeenCalledTimes(1);
  });
});

describe('the time of an attempt', () => {
  test('fails it though the code ignores its signal, and says where it was', async () => {
    const { request, run, last } = engine();
    const { timer, expire } = timers();
    const jobId = await request();
    let reason: unknown = null;
    const caught = vi.fn();
    const release = gate();
    const review = workflow(
      async (ctx) => {
        ctx.signal.addEventListener('abort', () => {
          ({ reason } = ctx.signal);
          setImmediate(release.open);
        });
        await ctx
          .step('slow', () => {
            setImmediate(expire, 60_000);
            return release.opened;
          })
          .catch(caught);
      },
      { timeouts: { attemptMs: 60_000 } },
    );
    expect(await run(jobId, review, { timer })).toBe('retrying');
    expect((await last(jobId, 'JobAttemptFailed')).data).toMatchObject({
      attempt: 1,
      error: {
        name: 'TimeoutError',
        message: 'The attempt (step "slow" was under way) took longer than its 60000 ms',
        classification: 'timeout',
      },
      step: { name: 'slow' },
    });
    expect(reason).toMatchObject({ name: 'AbortError' });
    expect(String(reason)).toContain('took longer than its 60000 ms');
    expect(caught).not.toHaveBeenCalled();
  });

  test('holds for each run anew, and is given back at its end', async () => {
    const { request, run, resume } = engine();
    const { set, timer } = timers();
    const jobId = await request();
    const review = workflow((ctx) => ctx.waitForEvent('done'), { timeouts: { attemptMs: 1_000 } });
    expect(await run(jobId, review, { timer })).toBe('paused');
    await resume(jobId);
    expect(await run(jobId, review, { timer })).toBe('completed');
    expect(set).toEqual([]);
  });

  test('fails the job with the last attempt', async () => {
    const { request, run, last } = engine();
    const { timer, expire } = timers();
    const jobId = await request({ retry: { maxAttempts: 1, firstDelayMs: 0, maxDelayMs: 0 } });
    const review = workflow(
      (ctx) => {
        setImmediate(expire, 1_000);
        return new Promise((resolve) => {
          ctx.signal.addEventListener('abort', resolve);
        });
      },
      { timeouts: { attemptMs: 1_000 } },
    );
    expect(await run(jobId, review, { timer })).toBe('failed');
    expect((await last(jobId, 'JobFailed')).data.error).toMatchObject({
      message: 'The attempt took longer than its 1000 ms',
      classification: 'timeout',
    });
  });

  test('code that goes on for ever is left behind, and counted', async () => {
    const { request, run } = engine();
    const { timer, expire } = timers();
    const jobId = await request();
    const onLeftBehind = vi.fn();
    const review = workflow(
      () => {
        setImmediate(expire, 1_000);
        return forever();
      },
      { timeouts: { attemptMs: 1_000 } },
    );
    expect(await run(jobId, review, { timer, onLeftBehind, leaveAfterMs: 10 })).toBe('retrying');
    expect(onLeftBehind).toHaveBeenCalledExactlyOnceWith('review');
  });
});
