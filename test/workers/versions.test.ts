import { describe, expect, test, vi } from 'vitest';

import type { WorkflowContext } from '../../src/sdk/index.ts';
import { engine, workflow } from './engine.ts';

type Code = (ctx: WorkflowContext) => Promise<unknown>;

const version = (name: string, code: Code) => workflow(code, { version: name });

const first = version('1', async (ctx) => {
  await ctx.step('clone', () => 'cloned');
  await ctx.waitForEvent('done');
});

/** A job that the first version began, and that goes on with the second one. */
async function goneOn(second: ReturnType<typeof version>, begun = first) {
  const { request, run, resume, last, types } = engine();
  const jobId = await request();
  expect(await run(jobId, begun)).toBe('paused');
  await resume(jobId);
  const before = (await types(jobId)).length;
  const end = await run(jobId, second, { replayGraceMs: 20 });
  return { jobId, end, last, run, resume, added: (await types(jobId)).slice(before) };
}

describe('a job that goes on with newer code', () => {
  test('finds what is done, and does what was added behind it', async () => {
    const clone = vi.fn();
    const { end, last, jobId } = await goneOn(
      version('2', async (ctx) => {
        const cloned = await ctx.step('clone', clone);
        await ctx.waitForEvent('done');
        return [cloned, await ctx.step('added', () => 'new'), ctx.job.version];
      }),
    );
    expect(end).toBe('completed');
    expect(clone).not.toHaveBeenCalled();
    expect((await last(jobId, 'JobCompleted')).data.result).toEqual(['cloned', 'new', '1']);
    expect((await last(jobId, 'JobStarted')).data).toMatchObject({
      version: '2',
      fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
  });

  test.each<[string, Code, string, string]>([
    [
      'a renamed step',
      async (ctx) => {
        await ctx.step('fetch', () => 1);
        await ctx.waitForEvent('done');
      },
      'version 1 did step "clone", and version 2 came to step "fetch"',
      'for 1 more',
    ],
    [
      'a step in front of what is kept',
      async (ctx) => {
        await ctx.step('prepare', () => 1);
        await ctx.step('clone', () => 1);
        await ctx.waitForEvent('done');
      },
      'step "clone"',
      'step "prepare"',
    ],
    [
      'a renamed wait',
      async (ctx) => {
        await ctx.step('clone', () => 1);
        await ctx.waitForEvent('finished');
      },
      'version 1 did wait "done", and version 2 came to wait "finished"',
      'Nothing new was done',
    ],
    [
      'a removed step',
      async (ctx) => {
        await ctx.waitForEvent('done');
      },
      'step "clone"',
      'came to its end without asking for it',
    ],
    [
      'parallel new steps',
      (ctx) => Promise.all([ctx.step('a', () => 1), ctx.step('b', () => 1)]),
      'step "clone"',
      'step "a"',
    ],
  ])('fails for %s, and does nothing new', async (_, code, ...message) => {
    const { jobId, end, last, added } = await goneOn(version('2', code));
    expect(end).toBe('failed');
    expect(added).toEqual(['JobStarted', 'JobFailed']);
    const { error } = (await last(jobId, 'JobFailed')).data;
    expect(error).toMatchObject({ name: 'WorkflowChanged', classification: 'permanent' });
    for (const part of message) expect(error.message).toContain(part);
  });

  test('is not fooled by a catch', async () => {
    const code: Code = async (ctx) => {
      await ctx.step('fetch', () => 1).catch(() => 'swallowed');
      await ctx.step('clone', () => 1);
      await ctx.waitForEvent('done');
    };
    expect((await goneOn(version('2', code))).end).toBe('failed');
  });

  test('asks for parallel results in any order', async () => {
    const begun = version('1', async (ctx) => {
      await Promise.all([ctx.step('a', () => 1), ctx.step('b', () => 2)]);
      await ctx.waitForEvent('done');
    });
    const { end } = await goneOn(
      version('2', async (ctx) => {
        await Promise.all([
          ctx.step('new', () => 0),
          ctx.step('b', () => 2),
          ctx.step('a', () => 1),
          ctx.waitForEvent('done'),
        ]);
      }),
      begun,
    );
    expect(end).toBe('completed');
  });

  test('may take a moment of its own to ask', async () => {
    const { end } = await goneOn(
      version('2', async (ctx) => {
        const kept = async () => {
          await new Promise(setImmediate);
          await ctx.step('clone', () => 1);
          await ctx.waitForEvent('done');
        };
        await Promise.all([ctx.step('new', () => 0), kept()]);
      }),
    );
    expect(end).toBe('completed');
  });

  test('may branch on the version that it began with', async () => {
    const { end } = await goneOn(
      version('2', async (ctx) => {
        if (ctx.job.version === '1') await ctx.step('clone', () => 1);
        else await ctx.step('fetch', () => 1);
        await ctx.waitForEvent('done');
      }),
    );
    expect(end).toBe('completed');
  });

  test('counts as changed when its text did, though its version did not', async () => {
    const { end, last, jobId } = await goneOn(
      version('1', async (ctx) => {
        await ctx.step('fetch', () => 1);
      }),
    );
    expect(end).toBe('failed');
    expect((await last(jobId, 'JobFailed')).data.error.message).toContain(
      'another text of version 1',
    );
  });
});

test('the same code may ask for less than is kept: what it does is its own', async () => {
  const { request, run, resume } = engine();
  const jobId = await request();
  let runs = 0;
  const odd = workflow(async (ctx) => {
    if (++runs === 1) await ctx.step('only once', () => 1);
    await ctx.waitForEvent('done');
    await ctx.step('after', () => 2);
  });
  expect(await run(jobId, odd)).toBe('paused');
  await resume(jobId);
  expect(await run(jobId, odd)).toBe('completed');
});

test('a job of which nothing is kept is of the version that runs it', async () => {
  const { request, run, last } = engine();
  const jobId = await request();
  await run(
    jobId,
    version('1', async () => {
      throw new Error('away');
    }),
  );
  await run(
    jobId,
    version('2', async (ctx) => ctx.job.version),
  );
  expect((await last(jobId, 'JobCompleted')).data.result).toBe('2');
});

test('after the failure the job goes on from a step before, with the new code', async () => {
  const { request, run, resume, execute } = engine();
  const jobId = await request();
  await run(jobId, first);
  await resume(jobId);
  const second = version('2', async (ctx) => {
    await ctx.step('fetch', () => 1);
  });
  expect(await run(jobId, second, { replayGraceMs: 1 })).toBe('failed');
  await execute(jobId, { type: 'RetryJob', at: new Date(), data: { fromStep: 'clone' } });
  expect(await run(jobId, second)).toBe('completed');
});

test('results of runs that did not say their code are replayed as they are', async () => {
  const { request, execute, run, resume } = engine();
  const jobId = await request();
  const at = new Date();
  await execute(jobId, { type: 'StartJob', at, data: { runId: 'old', workerId: 'w0' } });
  const step = { name: 'gone', output: 1, startedAt: at.toISOString() };
  await execute(jobId, { type: 'CompleteStep', at, data: { runId: 'old', ...step } });
  await execute(jobId, { type: 'InterruptJob', at, data: { runId: 'old', reason: 'released' } });
  expect(await run(jobId, first)).toBe('paused');
  await resume(jobId);
  expect(await run(jobId, first)).toBe('completed');
});
