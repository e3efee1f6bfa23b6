import { describe, expect, test } from 'vitest';

import type { WaitOutcome } from '../../src/events/job.ts';
import type { WorkflowContext } from '../../src/sdk/index.ts';
import { engine, workflow } from './engine.ts';

const AT = new Date('2026-11-20T12:00:00Z');

type Ask = (ctx: WorkflowContext) => Promise<unknown>;

/** What a workflow that waits so writes into the log, and what it gets for how the wait ended. */
async function asked(ask: Ask) {
  const { request, run, execute, last } = engine();
  const jobId = await request();
  const review = workflow(ask);
  expect(await run(jobId, review, { clock: () => AT })).toBe('paused');
  const { wait } = (await last(jobId, 'JobPaused')).data;
  const answer = async (outcome: WaitOutcome): Promise<unknown> => {
    const at = new Date(AT.getTime() + 10 ** 12);
    await execute(jobId, { type: 'ResumeJob', at, data: { waitId: null, outcome } });
    expect(await run(jobId, review)).toBe('completed');
    return (await last(jobId, 'JobCompleted')).data.result;
  };
  return { jobId, wait, answer };
}

const signal = (event: string, payload: unknown = null, key: string | null = null) =>
  ({ kind: 'signal', signalId: 's1', event, key, payload: payload as null }) as const;

async function refusedWith(ask: Ask): Promise<string> {
  const { request, run, last } = engine();
  const jobId = await request();
  expect(await run(jobId, workflow(ask))).toBe('failed');
  return (await last(jobId, 'JobFailed')).data.error.message;
}

test('a wait keeps what a payload must hold', async () => {
  const { wait } = await asked((ctx) =>
    ctx.waitForEvent('checks', { key: 'k', match: { 'check.sha': 'abc', passed: true } }),
  );
  expect(wait.on).toEqual([
    { event: 'checks', key: 'k', match: { 'check.sha': 'abc', passed: true } },
  ]);
});

test.each([[{ when: () => true }], [{ nested: { a: 1 } }], ['text'], [null]])(
  'a match that the log cannot keep or others cannot compare fails the job: %j',
  async (match) => {
    const message = await refusedWith((ctx) =>
      ctx.waitForEvent('checks', { match: match as unknown as Record<string, string> }),
    );
    expect(message).toContain('match of a wait for "checks" is an object of paths and values');
  },
);

describe('a wait for any of several', () => {
  const ask: Ask = (ctx) =>
    ctx.waitForAny(
      [
        { event: 'checks', match: { passed: true } },
        { event: 'checks', match: { passed: false } },
        { event: 'closed', key: 'pr-7' },
      ],
      { timeoutMs: 1_000 },
    );

  test('is one wait for all of them', async () => {
    const { wait } = await asked(ask);
    expect(wait).toMatchObject({
      id: 'wait:checks or 2 more#0',
      kind: 'event',
      on: [
        { event: 'checks', key: null, match: { passed: true } },
        { event: 'checks', key: null, match: { passed: false } },
        { event: 'closed', key: 'pr-7' },
      ],
      until: '2026-11-20T12:00:01.000Z',
    });
  });

  test.each([
    [signal('checks', { passed: true }), 0],
    [signal('checks', { passed: false }), 1],
    [signal('closed', null, 'pr-7'), 2],
  ])('says which came', async (outcome, index) => {
    const { answer } = await asked(ask);
    const { event, key, payload } = outcome;
    expect(await answer(outcome)).toEqual({ event, key, payload, index });
  });

  test('says that none did in time, or that a person ended it', async () => {
    expect(await (await asked(ask)).answer({ kind: 'timeout' })).toBeNull();
    expect(await (await asked(ask)).answer({ kind: 'manual', payload: 7 })).toEqual({
      event: null,
      key: null,
      payload: 7,
      index: null,
    });
  });

  test.each([[[]], [Array.from({ length: 101 }, () => ({ event: 'e' }))], [undefined]])(
    'needs a list of some',
    async (events) => {
      const message = await refusedWith((ctx) => ctx.waitForAny(events as { event: string }[]));
      expect(message).toContain('takes a list of 1 to 100 events');
    },
  );

  test('needs a name for each', async () => {
    const message = await refusedWith((ctx) => ctx.waitForAny([{ event: 'a' }, { event: '' }]));
    expect(message).toContain('An event of waitForAny is a text of 1 to 200 characters');
  });
});

describe('a sleep until', () => {
  test.each([new Date('2026-12-24T18:00:00Z'), '2026-12-24T18:00:00Z'])(
    'a time lasts until then: %s',
    async (time) => {
      const { wait, answer } = await asked((ctx) => ctx.sleepUntil('eve', time));
      expect(wait).toMatchObject({
        id: 'sleep:eve#0',
        kind: 'sleep',
        on: [],
        until: '2026-12-24T18:00:00.000Z',
      });
      expect(await answer({ kind: 'timeout' })).toBeNull();
    },
  );

  test.each([new Date(Number.NaN), 'soon', '2226-01-01T00:00:00Z'])(
    'what is no time of the next hundred years fails the job: %s',
    async (time) => {
      expect(await refusedWith((ctx) => ctx.sleepUntil('odd', time))).toContain(
        'takes a Date or a text like',
      );
    },
  );
});

describe('an approval', () => {
  test('waits for a signal of its name with the job as its key', async () => {
    const { wait, jobId } = await asked((ctx) => ctx.approval('deploy', { timeoutMs: 5_000 }));
    expect(wait).toEqual({
      id: 'approval:deploy#0',
      kind: 'approval',
      on: [{ event: 'approval.deploy', key: jobId }],
      until: '2026-11-20T12:00:05.000Z',
      request: null,
      approval: { name: 'deploy', approvers: null },
    });
  });

  test('takes the answers of its approvers only', async () => {
    const { wait, jobId } = await asked((ctx) =>
      ctx.approval('deploy', { approvers: ['ada', 'bob'] }),
    );
    expect(wait.on).toEqual([
      { event: 'approval.deploy', key: jobId, match: { by: 'ada' } },
      { event: 'approval.deploy', key: jobId, match: { by: 'bob' } },
    ]);
    expect(wait.approval).toEqual({ name: 'deploy', approvers: ['ada', 'bob'] });
  });

  test.each([
    [
      { approved: true, by: 'ada', comment: 'go' },
      { approved: true, by: 'ada', comment: 'go' },
    ],
    [
      { approved: false, by: 'ada' },
      { approved: false, by: 'ada', comment: null },
    ],
    [{ approved: 'yes' }, { approved: false, by: null, comment: null }],
    [null, { approved: false, by: null, comment: null }],
    [[true], { approved: false, by: null, comment: null }],
  ])('%j gives %j', async (payload, view) => {
    const ask: Ask = (ctx) => ctx.approval('deploy');
    expect(await (await asked(ask)).answer(signal('approval.deploy', payload))).toEqual(view);
    const manual = { kind: 'manual', payload: payload as null } as const;
    expect(await (await asked(ask)).answer(manual)).toEqual(view);
  });

  test('that nobody answered gives null', async () => {
    const { answer } = await asked((ctx) => ctx.approval('deploy', { timeoutMs: 1 }));
    expect(await answer({ kind: 'timeout' })).toBeNull();
  });

  test.each([[[]], [['']], ['ada']])('needs names as approvers: %j', async (approvers) => {
    const options = { approvers: approvers as string[] };
    expect(await refusedWith((ctx) => ctx.approval('deploy', options))).toContain('approvers is');
  });
});
