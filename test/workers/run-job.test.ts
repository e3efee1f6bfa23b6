import { describe, expect, test, vi } from 'vitest';

import { NonRetriable, RetryAfter } from '../../src/sdk/index.ts';
import { DecideJob, type Door } from '../../src/write/door.ts';
import { stepKey } from '../../src/write/job/commands.ts';
import { Rejected } from '../../src/write/rejected.ts';
import { cancel, requestJob } from '../support/jobs.ts';
import { engine, gate, workflow } from './engine.ts';

describe('steps', () => {
  test('a workflow without steps completes with what it returns', async () => {
    const { request, run, last } = engine();
    const jobId = await request();
    expect(
      await run(
        jobId,
        workflow(async () => ({ n: 1 })),
      ),
    ).toBe('completed');
    expect((await last(jobId, 'JobCompleted')).data.result).toEqual({ n: 1 });
  });

  test('a workflow that returns nothing completes with null', async () => {
    const { request, run, last } = engine();
    const jobId = await request();
    await run(
      jobId,
      workflow(async () => {}),
    );
    expect((await last(jobId, 'JobCompleted')).data.result).toBeNull();
  });

  test('a step that was done in an earlier attempt is not done again', async () => {
    const { request, run, types, last } = engine();
    const jobId = await request();
    const clone = vi.fn(() => ({ files: 3 }));
    let broken = true;
    const review = workflow(async (ctx) => {
      const { files } = await ctx.step('clone', clone);
      await ctx.step('analyse', () => {
        if (broken) throw new Error('no');
      });
      return files;
    });

    expect(await run(jobId, review)).toBe('retrying');
    broken = false;
    expect(await run(jobId, review)).toBe('completed');

    expect(clone).toHaveBeenCalledTimes(1);
    expect((await last(jobId, 'JobCompleted')).data).toMatchObject({ attempt: 2, result: 3 });
    expect(await types(jobId)).toEqual([
      'JobRequested',
      'JobStarted',
      'JobStepCompleted',
      'JobAttemptFailed',
      'JobStarted',
      'JobStepCompleted',
      'JobCompleted',
    ]);
  });

  test('a step gives the same value in the run that does it and in one that finds it done', async () => {
    const { request, run } = engine();
    const jobId = await request();
    const seen: unknown[] = [];
    let runs = 0;
    const review = workflow(async (ctx) => {
      seen.push(await ctx.step('when', () => ({ at: new Date(0), gone: undefined })));
      if (++runs === 1) throw new Error('once more');
    });
    await run(jobId, review);
    await run(jobId, review);
    expect(seen).toEqual([{ at: '1970-01-01T00:00:00.000Z' }, { at: '1970-01-01T00:00:00.000Z' }]);
  });

  test('what the workflow does to a result does not reach the log', async () => {
    const { request, run, last, events } = engine();
    const jobId = await request();
    await run(
      jobId,
      workflow(async (ctx) => {
        const list = await ctx.step('list', () => [1]);
        list.push(2);
        await ctx.step('next', () => null);
        return list;
      }),
    );
    expect((await last(jobId, 'JobCompleted')).data.result).toEqual([1, 2]);
    expect((await last(jobId, 'JobStepCompleted')).data).toMatchObject({ name: 'next' });
    const [, , list] = await events(jobId);
    expect(list?.data).toMatchObject({ name: 'list', output: [1] });
  });

  test('parallel steps are all kept, with one read of the history', async () => {
    const { request, run, events, store } = engine();
    const read = vi.spyOn(store, 'readStream');
    const jobId = await request();
    read.mockClear();
    const names = Array.from({ length: 20 }, (_, index) => `step ${String(index)}`);
    const end = await run(
      jobId,
      workflow(async (ctx) => await Promise.all(names.map((name) => ctx.step(name, () => name)))),
    );
    expect(end).toBe('completed');
    expect(read).toHaveBeenCalledTimes(1);
    const steps = (await events(jobId)).filter((event) => event.type === 'JobStepCompleted');
    expect(steps.map(({ data }) => data.name)).toEqual(names);
  });

  test('when one of parallel steps fails, the results of the others are kept', async () => {
    const { request, run } = engine();
    const jobId = await request();
    const slow = gate();
    const deploy = vi.fn(() => slow.opened);
    let broken = true;
    const review = workflow((ctx) =>
      Promise.all([
        ctx.step('deploy', deploy),
        ctx.step('lint', () => {
          setImmediate(slow.open);
          if (broken) throw new Error('lint');
        }),
      ]),
    );
    expect(await run(jobId, review)).toBe('retrying');
    broken = false;
    expect(await run(jobId, review)).toBe('completed');
    expect(deploy).toHaveBeenCalledTimes(1);
  });

  test('two steps of one name fail the job for good, whatever the workflow catches', async () => {
    const { request, run, last } = engine();
    const jobId = await request();
    const review = workflow(async (ctx) => {
      await ctx.step('a', () => 1);
      await ctx.step('a', () => 2).catch(() => 'swallowed');
      return 'done';
    });
    expect(await run(jobId, review)).toBe('failed');
    expect((await last(jobId, 'JobFailed')).data.error).toMatchObject({
      name: 'NonRetriable',
      classification: 'permanent',
      message: expect.stringContaining('Two steps are named "a"'),
    });
  });

  test('a mistake fails the job also when the workflow goes on beside it', async () => {
    const { request, run } = engine();
    const jobId = await request();
    const review = workflow(async (ctx) => {
      await ctx.step('a', () => 1);
      return await Promise.race([ctx.step('a', () => 2), Promise.resolve('done')]);
    });
    expect(await run(jobId, review)).toBe('failed');
  });

  test('a step or a wait inside of a step fails the job for good instead of hanging', async () => {
    const { request, run, last } = engine();
    const inStep = await request();
    const inWait = await request();
    expect(
      await run(
        inStep,
        workflow((ctx) => ctx.step('outer', () => ctx.step('inner', () => 1))),
      ),
    ).toBe('failed');
    expect((await last(inStep, 'JobFailed')).data.error.message).toContain(
      'Step "outer" calls ctx.step("inner")',
    );
    expect(
      await run(
        inWait,
        workflow((ctx) => ctx.step('outer', () => ctx.sleep('inner', 1))),
      ),
    ).toBe('failed');
  });

  test.each([
    ['a function', { run: () => 1 }, '"run" is a function'],
    ['a BigInt', 1n, 'it is a BigInt'],
    ['a Map', { m: new Map() }, '"m" is a Map'],
    ['NaN', [Number.NaN], 'NaN'],
    ['a forgotten await', { p: Promise.resolve(1) }, '"p" is a promise: await it'],
    ['more than 1 MiB', 'x'.repeat(1_048_576), '1048578 bytes'],
  ])('a step that returns %s fails the job for good, and says why', async (_, value, message) => {
    const { request, run, last } = engine();
    const jobId = await request();
    expect(
      await run(
        jobId,
        workflow((ctx) => ctx.step('odd', () => value)),
      ),
    ).toBe('failed');
    const { error } = (await last(jobId, 'JobFailed')).data;
    expect(error.message).toContain('step "odd"');
    expect(error.message).toContain(message);
  });

  test('a step that returns a cycle fails the job for good', async () => {
    const { request, run, last } = engine();
    const jobId = await request();
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    await run(
      jobId,
      workflow((ctx) => ctx.step('odd', () => cycle)),
    );
    expect((await last(jobId, 'JobFailed')).data.error.message).toContain('circular');
  });

  test('the name under which a step is found is the one under which the rules keep it', async () => {
    const { request, run, door } = engine();
    const jobId = await request();
    await run(
      jobId,
      workflow((ctx) => ctx.step('a', () => 1)),
    );
    const { history } = await door.execute(new DecideJob(jobId, requestJob()));
    expect([...history.state.results.keys()]).toEqual([stepKey('a')]);
  });
});

describe('waits', () => {
  test('a wait pauses the job, and a later run goes on behind it with the signal', async () => {
    const { request, run, resume, types, last } = engine();
    const jobId = await request();
    const before = vi.fn(() => 'kept');
    const review = workflow(async (ctx) => {
      await ctx.step('before', before);
      return await ctx.waitForEvent('done', {
        key: 'k',
        timeoutMs: 1000,
        request: { topic: 'ast', body: { n: 1 } },
      });
    });
    expect(await run(jobId, review, { clock: () => new Date('2026-11-20T12:00:00Z') })).toBe(
      'paused',
    );
    expect((await last(jobId, 'JobPaused')).data.wait).toEqual({
      id: 'wait:done#0',
      kind: 'event',
      on: [{ event: 'done', key: 'k' }],
      until: '2026-11-20T12:00:01.000Z',
      request: { topic: 'ast', body: { n: 1 } },
    });
    await resume(jobId, { ok: true });
    expect(await run(jobId, review)).toBe('completed');
    expect((await last(jobId, 'JobCompleted')).data.result).toEqual({
      event: 'done',
      key: null,
      payload: { ok: true },
    });
    expect(before).toHaveBeenCalledTimes(1);
    expect(await types(jobId)).toEqual([
      'JobRequested',
      'JobStarted',
      'JobStepCompleted',
      'JobPaused',
      'JobResumed',
      'JobStarted',
      'JobCompleted',
    ]);
  });

  test('no catch and no finally of the workflow sees a pause', async () => {
    const { request, run, types } = engine();
    const jobId = await request();
    const seen = vi.fn();
    const review = workflow(async (ctx) => {
      try {
        await ctx.waitForEvent('done');
      } catch (error) {
        seen(error);
      } finally {
        seen('finally');
      }
      await ctx.step('never', seen);
    });
    expect(await run(jobId, review)).toBe('paused');
    expect(seen).not.toHaveBeenCalled();
    expect(await types(jobId)).toEqual(['JobRequested', 'JobStarted', 'JobPaused']);
  });

  test('waits of one name in a loop are told apart by their occurrence', async () => {
    const { request, run, resume, last } = engine();
    const jobId = await request();
    const review = workflow(async (ctx) => {
      const payloads = [];
      for (let round = 0; round < 3; round++) {
        payloads.push((await ctx.waitForEvent('done'))?.payload);
      }
      return payloads;
    });
    for (let round = 0; round < 3; round++) {
      expect(await run(jobId, review)).toBe('paused');
      expect((await last(jobId, 'JobPaused')).data.wait.id).toBe(`wait:done#${String(round)}`);
      await resume(jobId, round);
    }
    expect(await run(jobId, review)).toBe('completed');
    expect((await last(jobId, 'JobCompleted')).data.result).toEqual([0, 1, 2]);
  });

  test('a sleep pauses the job until its time, and is over afterwards', async () => {
    const { request, run, execute, last } = engine();
    const jobId = await request();
    const review = workflow(async (ctx) => {
      await ctx.sleep('a while', 60_000);
      return 'awake';
    });
    expect(await run(jobId, review)).toBe('paused');
    const { at, data } = await last(jobId, 'JobPaused');
    expect(data.wait).toMatchObject({ id: 'sleep:a while#0', kind: 'sleep', on: [] });
    expect(Date.parse(data.wait.until ?? '') - at.getTime()).toBeLessThanOrEqual(60_000);
    await execute(jobId, {
      type: 'ResumeJob',
      at: new Date(Date.now() + 61_000),
      data: { waitId: null, outcome: { kind: 'timeout' } },
    });
    expect(await run(jobId, review)).toBe('completed');
  });

  test('a wait whose time is over gives null', async () => {
    const { request, run, execute, last } = engine();
    const jobId = await request();
    const review = workflow((ctx) => ctx.waitForEvent('done', { timeoutMs: 0 }));
    expect(await run(jobId, review)).toBe('paused');
    await execute(jobId, {
      type: 'ResumeJob',
      at: new Date(),
      data: { waitId: null, outcome: { kind: 'timeout' } },
    });
    expect(await run(jobId, review)).toBe('completed');
    expect((await last(jobId, 'JobCompleted')).data.result).toBeNull();
  });

  test.each([
    ['all', (waits: Promise<unknown>[]) => Promise.all(waits)],
    ['race', (waits: Promise<unknown>[]) => Promise.race(waits)],
  ])('two waits at once (Promise.%s) fail the job for good, with advice', async (_, join) => {
    const { request, run, last } = engine();
    const jobId = await request();
    const review = workflow((ctx) => join([ctx.waitForEvent('a'), ctx.waitForEvent('b')]));
    expect(await run(jobId, review)).toBe('failed');
    expect((await last(jobId, 'JobFailed')).data.error.message).toContain('one thing at a time');
  });

  test('a pause waits until the steps beside it are done, also those that follow from them', async () => {
    const { request, run, types, resume } = engine();
    const jobId = await request();
    const step = vi.fn(() => new Promise((resolve) => setTimeout(resolve, 5)));
    const review = workflow((ctx) =>
      Promise.all([
        ctx.waitForEvent('done'),
        (async () => {
          await ctx.step('one', () => null);
          await ctx.step('two', step);
        })(),
      ]),
    );
    expect(await run(jobId, review)).toBe('paused');
    expect(await types(jobId)).toEqual([
      'JobRequested',
      'JobStarted',
      'JobStepCompleted',
      'JobStepCompleted',
      'JobPaused',
    ]);
    await resume(jobId);
    expect(await run(jobId, review)).toBe('completed');
    expect(step).toHaveBeenCalledTimes(1);
  });

  test('a step that wins a race against a wait lets the job complete', async () => {
    const { request, run, last } = engine();
    const jobId = await request();
    const review = workflow((ctx) =>
      Promise.race([ctx.waitForEvent('done'), ctx.step('poll', () => 'polled')]),
    );
    expect(await run(jobId, review)).toBe('completed');
    expect((await last(jobId, 'JobCompleted')).data.result).toBe('polled');
  });

  test('an impossible delay fails the job for good', async () => {
    const { request, run } = engine();
    for (const delayMs of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      const jobId = await request();
      expect(
        await run(
          jobId,
          workflow((ctx) => ctx.sleep('odd', delayMs)),
        ),
      ).toBe('failed');
    }
  });
});

describe('failures', () => {
  class Mine extends NonRetriable {
    override readonly name = 'Mine';
  }
  const timeout = new DOMException('The operation was aborted due to timeout', 'TimeoutError');

  test.each([
    ['an Error', new Error('boom'), 'transient', null],
    ['a NonRetriable', new NonRetriable('boom'), 'permanent', null],
    ['a subclass of NonRetriable', new Mine('boom'), 'permanent', null],
    ['a RetryAfter', new RetryAfter('boom', 90_000), 'rate-limited', 90_000],
    ['an AbortError', new DOMException('boom', 'AbortError'), 'timeout', null],
    ['a TimeoutError', timeout, 'timeout', null],
    ['a socket timeout', Object.assign(new Error('boom'), { code: 'ETIMEDOUT' }), 'timeout', null],
    ['a text', 'boom', 'transient', null],
    ['undefined', undefined, 'transient', null],
    ['an object without prototype', Object.create(null), 'transient', null],
  ])('%s is classified', async (_, thrown: unknown, classification, delayMs) => {
    const { request, run, events } = engine();
    const jobId = await request();
    await run(
      jobId,
      workflow(async () => {
        throw thrown;
      }),
    );
    const last = (await events(jobId)).at(-1);
    expect(last?.type).toBe(classification === 'permanent' ? 'JobFailed' : 'JobAttemptFailed');
    expect(last?.data).toMatchObject({ error: { classification } });
    if (last?.type === 'JobAttemptFailed' && delayMs !== null) {
      expect(Date.parse(last.data.nextAttemptAt) - last.at.getTime()).toBe(delayMs);
    }
  });

  test('the last attempt fails the job', async () => {
    const { request, run, last } = engine();
    const jobId = await request({ retry: { maxAttempts: 2, firstDelayMs: 0, maxDelayMs: 0 } });
    const review = workflow(async () => {
      throw new Error('boom');
    });
    expect(await run(jobId, review)).toBe('retrying');
    expect(await run(jobId, review)).toBe('failed');
    expect((await last(jobId, 'JobFailed')).data.attempt).toBe(2);
  });

  test('what the log keeps of an error is short, and text that Postgres takes', async () => {
    const { request, run, last } = engine();
    const jobId = await request();
    const error = new NonRetriable(`\0\u{D800}${'x'.repeat(10_000)}`);
    await run(
      jobId,
      workflow(async () => {
        throw error;
      }),
    );
    const { message } = (await last(jobId, 'JobFailed')).data.error;
    expect(message.length).toBeLessThanOrEqual(4_000);
    expect(message).not.toContain('\0');
    expect(message.startsWith('\u{FFFD}x')).toBe(true);
  });

  test('a workflow that throws before its first await fails its attempt', async () => {
    const { request, run } = engine();
    const jobId = await request();
    const review = workflow(() => {
      throw new Error('at once');
    });
    expect(await run(jobId, review)).toBe('retrying');
  });
});

describe('a run that has lost its job', () => {
  test('stops at the next report and adds nothing', async () => {
    const { request, run, execute, types } = engine();
    const jobId = await request();
    const later = vi.fn();
    const review = workflow(async (ctx) => {
      await ctx.step('one', () => execute(jobId, { ...cancel, at: new Date() }).then(() => null));
      await ctx.step('two', later);
    });
    expect(await run(jobId, review)).toBe('lost');
    expect(later).not.toHaveBeenCalled();
    expect(await types(jobId)).toEqual(['JobRequested', 'JobStarted', 'JobCancelled']);
  });

  test('aborts the signal at once when it is told, reports nothing more and runs no catch', async () => {
    const { request, run, types } = engine();
    const jobId = await request();
    const lost = new AbortController();
    const begun = gate();
    const caught = vi.fn();
    const running = run(
      jobId,
      workflow((ctx) =>
        ctx
          .step('long', () => {
            begun.open();
            return new Promise((_, reject) => {
              ctx.signal.addEventListener('abort', () => {
                reject(ctx.signal.reason as Error);
              });
            });
          })
          .catch(caught),
      ),
      { signals: { lost: lost.signal } },
    );
    await begun.opened;
    lost.abort(new Error('the job was cancelled'));
    expect(await running).toBe('lost');
    await new Promise(setImmediate);
    expect(caught).not.toHaveBeenCalled();
    expect(await types(jobId)).toEqual(['JobRequested', 'JobStarted']);
  });

  test('is not over before the step that heeds the signal has ended', async () => {
    const { request, run } = engine();
    const jobId = await request();
    const lost = new AbortController();
    const begun = gate();
    const cleaning = gate();
    let over = false;
    const running = run(
      jobId,
      workflow((ctx) =>
        ctx.step('long', async () => {
          begun.open();
          await cleaning.opened;
        }),
      ),
      { signals: { lost: lost.signal } },
    ).finally(() => {
      over = true;
    });
    await begun.opened;
    lost.abort();
    await new Promise(setImmediate);
    expect(over).toBe(false);
    cleaning.open();
    expect(await running).toBe('lost');
  });
});

describe('the log is away', () => {
  /** A door that fails so often before each answer, with the command done or not. */
  const flaky = (door: Door, failures: number, when: 'before' | 'after'): Door => {
    let left = failures;
    const execute = async (command: never): Promise<unknown> => {
      if (left > 0 && when === 'before') {
        left--;
        throw new Error('connection refused');
      }
      const answer: unknown = await door.execute(command);
      if (left > 0) {
        left--;
        throw new Error('connection lost');
      }
      return answer;
    };
    return { execute } as unknown as Door;
  };

  test.each(['before', 'after'] as const)(
    'reports that failed %s they were stored are sent again and stored once',
    async (when) => {
      const { request, run, door, types } = engine();
      const jobId = await request();
      const step = vi.fn(() => 1);
      const review = workflow((ctx) => ctx.step('one', step));
      expect(await run(jobId, review, { door: flaky(door, 3, when) })).toBe('completed');
      expect(step).toHaveBeenCalledTimes(1);
      expect(await types(jobId)).toEqual([
        'JobRequested',
        'JobStarted',
        'JobStepCompleted',
        'JobCompleted',
      ]);
    },
  );

  test('a step whose result the log refuses for too long fails the attempt, uncaught', async () => {
    const { request, run, door, last } = engine();
    const jobId = await request();
    const refusing = {
      execute: (command: { command?: { type: string } }) =>
        command.command?.type === 'CompleteStep'
          ? Promise.reject(new Error('disk full'))
          : door.execute(command as never),
    } as unknown as Door;
    const review = workflow((ctx) => ctx.step('one', () => 1).catch(() => 'swallowed'));
    expect(await run(jobId, review, { door: refusing, patienceMs: 0 })).toBe('retrying');
    expect((await last(jobId, 'JobAttemptFailed')).data.error).toMatchObject({
      name: 'NotReported',
      classification: 'transient',
    });
  });

  test('a log that hangs does not hold a run that has lost its job', async () => {
    const { request, run, door } = engine();
    const jobId = await request();
    const lost = new AbortController();
    const asked = gate();
    const hanging = {
      execute: (command: { command?: { type: string } }) => {
        if (command.command?.type !== 'CompleteStep') return door.execute(command as never);
        asked.open();
        return new Promise(() => {});
      },
    } as unknown as Door;
    const running = run(
      jobId,
      workflow((ctx) => ctx.step('one', () => 1)),
      { door: hanging, signals: { lost: lost.signal } },
    );
    await asked.opened;
    const from = performance.now();
    lost.abort();
    expect(await running).toBe('lost');
    expect(performance.now() - from).toBeLessThan(1_000);
  });

  test('a refusal in words is no fault: the run is lost', async () => {
    const { request, run, door } = engine();
    const jobId = await request();
    const refusing = {
      execute: (command: { command?: { type: string } }) =>
        command.command?.type === 'CompleteJob'
          ? Promise.reject(new Rejected('stale-run'))
          : door.execute(command as never),
    } as unknown as Door;
    expect(
      await run(
        jobId,
        workflow(async () => 1),
        { door: refusing },
      ),
    ).toBe('lost');
  });
});

describe('a drain', () => {
  test('lets the step under way end, keeps it, and gives the job back before the next one', async () => {
    const { request, run, types, last } = engine();
    const jobId = await request();
    const drain = new AbortController();
    const one = vi.fn(() => {
      drain.abort();
      return 1;
    });
    const two = vi.fn(() => 2);
    const review = workflow(async (ctx) => {
      try {
        return (await ctx.step('one', one)) + (await ctx.step('two', two));
      } catch {
        return 'swallowed';
      }
    });
    expect(await run(jobId, review, { signals: { drain: drain.signal } })).toBe('released');
    expect(two).not.toHaveBeenCalled();
    expect(await run(jobId, review)).toBe('completed');
    expect(one).toHaveBeenCalledTimes(1);
    expect((await last(jobId, 'JobCompleted')).data).toMatchObject({ attempt: 1, result: 3 });
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

  test('lets a job complete that has no step left', async () => {
    const { request, run } = engine();
    const jobId = await request();
    const drain = new AbortController();
    const review = workflow((ctx) =>
      ctx.step('last', () => {
        drain.abort();
      }),
    );
    expect(await run(jobId, review, { signals: { drain: drain.signal } })).toBe('completed');
  });

  test('a job that pauses while its worker drains is paused', async () => {
    const { request, run } = engine();
    const jobId = await request();
    const drain = new AbortController();
    const review = workflow(async (ctx) => {
      await ctx.step('last', () => {
        drain.abort();
      });
      await ctx.waitForEvent('done');
    });
    expect(await run(jobId, review, { signals: { drain: drain.signal } })).toBe('paused');
  });

  test('a release in the middle of a step gives the job back and aborts the signal', async () => {
    const { request, run, last } = engine();
    const jobId = await request();
    const release = new AbortController();
    const begun = gate();
    const running = run(
      jobId,
      workflow((ctx) =>
        ctx.step(
          'endless',
          () =>
            new Promise((resolve) => {
              ctx.signal.addEventListener('abort', resolve);
              begun.open();
            }),
        ),
      ),
      { signals: { release: release.signal } },
    );
    await begun.opened;
    release.abort();
    expect(await running).toBe('released');
    expect((await last(jobId, 'JobInterrupted')).data.reason).toBe('released');
  });
});

describe('the context', () => {
  test('shows the job', async () => {
    const { request, run, last } = engine();
    const jobId = await request({ input: { a: 1 } });
    await run(
      jobId,
      workflow(async ({ job }) => ({ ...job, trigger: job.trigger.event })),
    );
    expect((await last(jobId, 'JobCompleted')).data.result).toEqual({
      id: jobId,
      workflow: 'review',
      trigger: 'pull_request',
      input: { a: 1 },
      attempt: 1,
      maxAttempts: 3,
      version: '1',
      correlationId: jobId,
    });
  });

  test('tells progress to whoever shows it, and no more after the run', async () => {
    const { request, run } = engine();
    const jobId = await request();
    const progress = vi.fn();
    let tell: (percent: number) => void = () => {};
    await run(
      jobId,
      workflow(async (ctx) => {
        tell = ctx.progress;
        ctx.progress(50, 'half');
      }),
      { progress },
    );
    tell(99);
    expect(progress.mock.calls).toEqual([[jobId, 50, 'half']]);
  });
});
