import { describe, expect, test } from 'vitest';

import { StepFailed, defineWorkflow } from '../../src/sdk/index.ts';
import { testWorkflow } from '../../src/testing/index.ts';

const retry = { maxAttempts: 3, firstDelayMs: 1_000, maxDelayMs: 60_000 };

describe('a step with tries of its own, in the kit', () => {
  const fetching = defineWorkflow({
    name: 'fetching',
    retry: { maxAttempts: 1 },
    run: ({ step }) =>
      step('fetch', () => 'page', { retry }).catch((error: unknown) => {
        if (error instanceof StepFailed) return `none after ${String(error.tries)} tries`;
        throw error;
      }),
  });

  test('is tried again when time passes, with one attempt of the job', async () => {
    const run = await testWorkflow(fetching, {
      steps: {
        fetch: ({ call }) => {
          if (call < 3) throw new Error('away');
          return 'page';
        },
      },
    });
    expect(run).toMatchObject({ status: 'RETRYING', nextAttemptAt: '2026-01-01T00:00:01.000Z' });
    await run.advance(1_000);
    expect(run.nextAttemptAt).toBe('2026-01-01T00:00:03.000Z');
    await run.advance(2_000);
    expect(run).toMatchObject({ status: 'COMPLETED', result: 'page', attempt: 1 });
  });

  test('fails for good, and the workflow goes on', async () => {
    const run = await testWorkflow(fetching, {
      jitter: 0,
      steps: {
        fetch: () => {
          throw new Error('away');
        },
      },
    });
    expect(run).toMatchObject({ status: 'COMPLETED', result: 'none after 3 tries' });
    expect(run.steps).toMatchObject([{ name: 'fetch', status: 'FAILED', error: 'away' }]);
  });
});

describe('time limits in the kit', () => {
  const slow = defineWorkflow({
    name: 'slow',
    retry: { maxAttempts: 1 },
    timeouts: { attemptMs: 60_000, jobMs: 600_000 },
    async run({ step, waitForEvent }) {
      const page = await step('fetch', () => 'page', { timeoutMs: 5_000 }).catch(() => 'none');
      await step('long', () => 1);
      await waitForEvent('done');
      return page;
    },
  });

  test('a step that hangs is out of time at its limit', async () => {
    const run = await testWorkflow(slow, { steps: { fetch: ({ hang }) => hang() } });
    expect(run.now).toEqual(new Date('2026-01-01T00:00:05.000Z'));
    await run.signal('done');
    expect(run).toMatchObject({ status: 'COMPLETED', result: 'none' });
  });

  test('an attempt that hangs is too', async () => {
    const run = await testWorkflow(slow, { steps: { long: ({ hang }) => hang() } });
    expect(run.now).toEqual(new Date('2026-01-01T00:01:00.000Z'));
    expect(run).toMatchObject({ status: 'FAILED', error: { classification: 'timeout' } });
  }, 30_000);

  test('a job is at its deadline, whatever it waits for', async () => {
    const run = await testWorkflow(slow);
    await run.advance(599_999);
    expect(run.status).toBe('PAUSED');
    await run.advance(1);
    expect(run).toMatchObject({
      status: 'FAILED',
      error: { name: 'JobTimeout', classification: 'timeout' },
    });
  });

  test('a step that would hang for ever says so', async () => {
    const endless = defineWorkflow({
      name: 'endless',
      retry: { maxAttempts: 1 },
      run: ({ step }) => step('fetch', () => 1),
    });
    const run = await testWorkflow(endless, { steps: { fetch: ({ hang }) => hang() } });
    expect(run.error?.message).toContain('The step hangs for ever: give it a timeoutMs');
  });
});

describe('waits in the kit', () => {
  test('end with the payload that matches, and say which came', async () => {
    const checking = defineWorkflow({
      name: 'checking',
      async run({ waitForEvent, waitForAny }) {
        const { payload = null } = (await waitForEvent('check', { match: { 'a.b': 1 } })) ?? {};
        const any = await waitForAny([{ event: 'merged' }, { event: 'closed', key: 'k' }]);
        return [payload, any?.index ?? null];
      },
    });
    const run = await testWorkflow(checking);
    await run.signal('check', { payload: { a: { b: 2 } } });
    expect(run.waitingFor).toMatchObject({ event: 'check' });
    await run.signal('check', { payload: { a: { b: 1 } } });
    expect(run.waitingFor).toMatchObject({ event: 'merged' });
    await run.signal('closed', { key: 'j' });
    await run.signal('closed', { key: 'k' });
    expect(run).toMatchObject({ status: 'COMPLETED', result: [{ a: { b: 1 } }, 1] });
  });

  test('last until a time', async () => {
    const sleeper = defineWorkflow({
      name: 'sleeper',
      run: ({ sleepUntil }) => sleepUntil('noon', '2026-01-01T12:00:00Z'),
    });
    const run = await testWorkflow(sleeper);
    await run.advance(12 * 3_600_000 - 1);
    expect(run.status).toBe('PAUSED');
    await run.advance(1);
    expect(run.status).toBe('COMPLETED');
  });
});

describe('approvals in the kit', () => {
  const deploying = defineWorkflow({
    name: 'deploying',
    run: ({ approval }) => approval('deploy', { approvers: ['ada'], timeoutMs: 1_000 }),
  });

  test('are given, or not', async () => {
    const yes = await testWorkflow(deploying);
    expect(yes.waitingFor?.approval).toEqual({ name: 'deploy', approvers: ['ada'] });
    await yes.approve({ by: 'ada', comment: 'go' });
    expect(yes.result).toEqual({ approved: true, by: 'ada', comment: 'go' });
    const no = await testWorkflow(deploying);
    await no.reject({ by: 'ada' });
    expect(no.result).toEqual({ approved: false, by: 'ada', comment: null });
    const late = await testWorkflow(deploying);
    await late.advance(1_000);
    expect(late.result).toBeNull();
  });

  test('are for the approvers, and for a job that waits for one', async () => {
    const run = await testWorkflow(deploying);
    await expect(run.approve()).rejects.toThrow('run.approve: refused with not-an-approver');
    const forged = { approved: true, by: 'eve' };
    await run.signal('approval.deploy', { key: run.jobId, payload: forged });
    expect(run.status).toBe('PAUSED');
    await run.approve({ by: 'ada' });
    await expect(run.approve({ by: 'ada' })).rejects.toThrow(
      'run.approve: refused with job-finished',
    );
  });
});

describe('a deploy in the kit', () => {
  const of = (version: string, step: string) =>
    defineWorkflow({
      name: 'deployed',
      version,
      async run(ctx) {
        await ctx.step(step, () => 1);
        await ctx.waitForEvent('done');
        return ctx.job.version;
      },
    });

  test('lets the job go on with what it has done', async () => {
    const run = await testWorkflow(of('1', 'clone'));
    await run.deploy(of('2', 'clone'));
    await run.signal('done');
    expect(run).toMatchObject({ status: 'COMPLETED', result: '1' });
  });

  test('fails it where the new code asks for something else', async () => {
    const run = await testWorkflow(of('1', 'clone'));
    await run.deploy(of('2', 'fetch'));
    await run.signal('done');
    expect(run.status).toBe('FAILED');
    expect(run.error?.message).toContain('version 1 did step "clone"');
    expect(run.steps.map(({ name }) => name)).toEqual(['clone']);
  });

  test('is of the same workflow', async () => {
    const run = await testWorkflow(of('1', 'clone'));
    const other = defineWorkflow({ name: 'other', run: async () => 1 });
    await expect(run.deploy(other)).rejects.toThrow('the job is of "deployed", not "other"');
  });
});
