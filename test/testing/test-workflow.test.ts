import { describe, expect, test } from 'vitest';

import { NonRetriable, RetryAfter, defineWorkflow } from '../../src/sdk/index.ts';
import { pullRequestTrigger, pushTrigger, testWorkflow } from '../../src/testing/index.ts';

const HOUR = 3_600_000;

/** A workflow as users write one: fetches, asks a person, reminds, gives up. */
const release = defineWorkflow({
  name: 'release',
  on: [{ event: 'push', ref: ['main', 'stable'] }],
  concurrency: { key: ({ repository }) => repository?.fullName ?? null, strategy: 'queue' },
  retry: { maxAttempts: 3, firstDelayMs: 1_000, maxDelayMs: 10_000 },
  async run({ job, step, waitForEvent, sleep, progress, logger }) {
    const version = await step('next version', () => fetchNothing());
    progress(50, 'asking');
    const answer = await waitForEvent('approved', { key: job.id, timeoutMs: 24 * HOUR });
    if (answer === null) throw new NonRetriable('Nobody approved it within a day');
    await sleep('cool down', HOUR);
    logger.info('publishing', { version });
    return { version, url: await step('publish', () => fetchNothing()) };
  },
});

const fetchNothing = (): string => {
  throw new Error('A test does not fetch');
};

const fakes = { 'next version': () => '1.2.3', publish: () => 'https://example.org/1.2.3' };

describe('a workflow of a user, in a test of theirs', () => {
  test('is released an hour after it was approved', async () => {
    const run = await testWorkflow(release, { steps: fakes });
    expect(run.status).toBe('PAUSED');
    expect(run.waitingFor).toMatchObject({ event: 'approved', key: run.jobId });

    await run.signal('approved', { key: run.jobId, payload: { by: 'ada' } });
    expect(run.waitingFor).toMatchObject({ event: 'sleep', until: '2026-01-01T01:00:00.000Z' });

    await run.advance(HOUR - 1);
    expect(run.status).toBe('PAUSED');
    await run.advance(1);
    expect(run.status).toBe('COMPLETED');
    expect(run.result).toEqual({ version: '1.2.3', url: 'https://example.org/1.2.3' });
    expect(run.steps.map(({ name }) => name)).toEqual(['next version', 'publish']);
    expect(run.logs).toEqual([
      { level: 'info', message: 'publishing', fields: { version: '1.2.3' } },
    ]);
    expect(run.concurrencyKey).toBe('octo/repo');
  });

  test('fails after a day without an answer', async () => {
    const run = await testWorkflow(release, { steps: fakes });
    await run.advance(24 * HOUR);
    expect(run.status).toBe('FAILED');
    expect(run.error).toMatchObject({
      message: 'Nobody approved it within a day',
      classification: 'permanent',
    });
  });
});

const attempts = defineWorkflow({
  name: 'attempts',
  retry: { maxAttempts: 3, firstDelayMs: 1_000, maxDelayMs: 60_000 },
  run: ({ step }) => step('flaky', () => 'real'),
});

describe('time', () => {
  test('begins a retry when it is due, by the policy of the workflow', async () => {
    const flaky = ({ call }: { call: number }): string => {
      if (call < 3) throw new Error(`try ${String(call)}`);
      return 'at last';
    };
    const run = await testWorkflow(attempts, { steps: { flaky } });
    expect(run.status).toBe('RETRYING');
    expect(run.error).toMatchObject({ message: 'try 1', attempt: 1 });
    expect(run.nextAttemptAt).toBe('2026-01-01T00:00:01.000Z');
    await run.advance(999);
    expect(run.attempt).toBe(1);
    await run.advance(1);
    expect(run).toMatchObject({ status: 'RETRYING', nextAttemptAt: '2026-01-01T00:00:03.000Z' });
    await run.advance(2_000);
    expect(run).toMatchObject({ status: 'COMPLETED', result: 'at last', attempt: 3 });
  });

  test('passes through everything that is due on its way, in order and each at its own moment', async () => {
    const naps = defineWorkflow({
      name: 'naps',
      run: async ({ step, sleep, waitForEvent }) => {
        await sleep('a', 1_000);
        await step('between', () => 1);
        await waitForEvent('never', { timeoutMs: 500 });
        await sleep('b', 10);
        return 'awake';
      },
    });
    const run = await testWorkflow(naps);
    await run.advance(60_000);
    expect(run.result).toBe('awake');
    expect(run.steps[0]?.finishedAt).toBe('2026-01-01T00:00:01.000Z');
    expect(run.events.at(-1)?.at.toISOString()).toBe('2026-01-01T00:00:01.510Z');
    expect(run.now.toISOString()).toBe('2026-01-01T00:01:00.000Z');
  });

  test('can make retries follow at once, and RetryAfter has a delay of its own', async () => {
    const limited = ({ call }: { call: number }): number => {
      if (call === 1) throw new RetryAfter('slow down', 5_000);
      throw new Error('no');
    };
    const run = await testWorkflow(attempts, { steps: { flaky: limited }, jitter: 0 });
    expect(run.error).toMatchObject({ classification: 'rate-limited' });
    await run.advance(5_000);
    expect(run).toMatchObject({ status: 'FAILED', attempt: 3 });
  });

  test('does not pass by itself, and not backwards', async () => {
    const run = await testWorkflow(attempts, { now: new Date('2030-05-05T05:05:05.000Z') });
    expect(run.events.map(({ at }) => at.toISOString())).toEqual(
      run.events.map(() => '2030-05-05T05:05:05.000Z'),
    );
    await expect(run.advance(-1)).rejects.toThrow('from 0, not -1');
  });
});

const twoAnswers = defineWorkflow({
  name: 'two-answers',
  run: async ({ waitForEvent }) => [
    (await waitForEvent('go'))?.payload ?? null,
    (await waitForEvent('go', { key: 'k' }))?.payload ?? null,
  ],
});

describe('signals', () => {
  test('that came before the wait are found, the oldest first, and none ends two waits', async () => {
    const run = await testWorkflow(twoAnswers, {
      signals: [
        { event: 'go', key: 'k', payload: 1 },
        { event: 'go', key: 'other', payload: 2 },
      ],
    });
    expect(run.waitingFor).toMatchObject({ event: 'go', key: 'k' });
    await run.signal('go', { key: 'other', payload: 3 });
    expect(run.status).toBe('PAUSED');
    await run.signal('go', { key: 'k', payload: 4 });
    expect(run.result).toEqual([1, 4]);
  });

  test('come before the timeout of the same moment', async () => {
    const asking = defineWorkflow({
      name: 'asking',
      run: async ({ waitForEvent }) =>
        (await waitForEvent('go', { timeoutMs: 0 }))?.payload ?? null,
    });
    const run = await testWorkflow(asking, { signals: [{ event: 'go', payload: 'yes' }] });
    expect(run.result).toBe('yes');
    expect((await testWorkflow(asking)).result).toBeNull();
  });

  test('show what was asked of another program', async () => {
    const asking = defineWorkflow({
      name: 'asking',
      run: ({ waitForEvent }) =>
        waitForEvent('parsed', { request: { topic: 'ast', body: { files: 2 } } }),
    });
    const run = await testWorkflow(asking);
    expect(run.waitingFor?.request).toEqual({ topic: 'ast', body: { files: 2 } });
  });
});

describe('people', () => {
  test('can end a wait by hand', async () => {
    const run = await testWorkflow(twoAnswers);
    await run.resume('by hand');
    await run.resume('again');
    expect(run.result).toEqual(['by hand', 'again']);
    await expect(run.resume()).rejects.toThrow('run.resume: refused with job-finished');
  });

  test('can cancel, which a step that runs sees at once', async () => {
    const slow = defineWorkflow({
      name: 'slow',
      run: async ({ step, waitForEvent }) => {
        await waitForEvent('go');
        return step('long', () => 1);
      },
    });
    let reason: unknown = null;
    const run = await testWorkflow(slow, {
      steps: {
        long: async ({ signal }) => {
          await run.cancel('changed my mind');
          reason = signal.reason;
        },
      },
    });
    await run.signal('go');
    expect(run.status).toBe('CANCELLED');
    expect(String(reason)).toContain('the job was cancelled');
    expect(run.events.at(-1)).toMatchObject({
      type: 'JobCancelled',
      data: { reason: 'changed my mind' },
    });
  });

  test('can retry what has failed, and done steps stay done', async () => {
    let broken = true;
    const calls: string[] = [];
    const two = defineWorkflow({
      name: 'two',
      run: async ({ step }) => {
        await step('one', () => calls.push('one'));
        await step('two', () => {
          calls.push('two');
          if (broken) throw new NonRetriable('broken');
        });
      },
    });
    const run = await testWorkflow(two);
    expect(run.status).toBe('FAILED');
    broken = false;
    await run.retry();
    expect(run.status).toBe('COMPLETED');
    expect(calls).toEqual(['one', 'two', 'two']);
    await run.retry({ fromStep: 'one' });
    expect(calls).toEqual(['one', 'two', 'two', 'one', 'two']);
    await expect(run.retry({ fromStep: 'three' })).rejects.toThrow('step-not-found');
  });
});

describe('mistakes', () => {
  test('a fake for a step that there is not is named, with those that there are', async () => {
    await expect(testWorkflow(attempts, { steps: { flakey: () => 1 } })).rejects.toThrow(
      'completed without a step "flakey": it took "flaky"',
    );
  });

  test('a fake that is no function is named', async () => {
    const steps = { flaky: 'fake' as unknown as () => string };
    await expect(testWorkflow(attempts, { steps })).rejects.toThrow(
      'steps.flaky is no function: write flaky: () => …',
    );
  });

  test('a trigger that would start no job is refused, but not one by hand', async () => {
    const trigger = pullRequestTrigger();
    await expect(testWorkflow(release, { trigger })).rejects.toThrow('does not start on this');
    const manual = pushTrigger({ provider: 'manual' });
    const run = await testWorkflow(release, {
      trigger: manual,
      steps: fakes,
      input: { dry: true },
    });
    expect(run.status).toBe('PAUSED');
    expect(run.events[0]?.data).toMatchObject({ input: { dry: true } });
  });

  test('a workflow that never comes to rest is stopped', async () => {
    const restless = defineWorkflow({
      name: 'restless',
      run: async ({ sleep }) => {
        for (;;) await sleep('none', 0);
      },
    });
    await expect(testWorkflow(restless)).rejects.toThrow('was run 500 times');
  }, 60_000);

  test('what is wrong in production is wrong here too', async () => {
    const twice = defineWorkflow({
      name: 'twice',
      run: async ({ step }) => [await step('a', () => 1), await step('a', () => 2)],
    });
    expect(await testWorkflow(twice)).toMatchObject({
      status: 'FAILED',
      error: { message: expect.stringContaining('Two steps are named "a"') as string },
    });
  });
});

test('the default trigger is one that the first matcher lets through', async () => {
  const echo = (on: Parameters<typeof defineWorkflow>[0]['on']) =>
    defineWorkflow({ name: 'echo', on: on ?? [], run: ({ job }) => Promise.resolve(job.trigger) });
  const triggerOf = async (on: Parameters<typeof echo>[0]) => (await testWorkflow(echo(on))).result;
  expect(await triggerOf([])).toMatchObject({ event: 'pull_request', pullRequest: { number: 7 } });
  expect(await triggerOf([{ event: 'push' }])).toMatchObject({ event: 'push', pullRequest: null });
  expect(
    await triggerOf([
      {
        event: 'pull_request',
        action: ['synchronize', 'opened'],
        repository: 'a/b',
        baseBranch: 'stable',
        provider: 'gitlab',
        source: 'work',
        sender: 'ada',
        ref: 'topic',
      },
    ]),
  ).toMatchObject({ action: 'synchronize', repository: { fullName: 'a/b' }, provider: 'gitlab' });
});

test('two runs of one test are the same to the last event', async () => {
  const play = async () => {
    const run = await testWorkflow(release, { steps: fakes });
    await run.signal('approved', { key: run.jobId });
    await run.advance(HOUR);
    return { events: run.events, steps: run.steps, result: run.result };
  };
  expect(await play()).toEqual(await play());
});
