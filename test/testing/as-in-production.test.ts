import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { createClient, type JobledgerClient } from '../../src/client/index.ts';
import { NonRetriable, StepFailed, type Workflow, defineWorkflow } from '../../src/sdk/index.ts';
import { type TestRun, testWorkflow } from '../../src/testing/index.ts';
import { type Service, startService } from '../support/service.ts';

const failing = new Map<string, number>();

const asking = defineWorkflow({
  name: 'asking',
  run: async ({ job, step, waitForEvent }) => {
    const early = await waitForEvent('early', { key: job.id });
    const [a, b] = await Promise.all([step('a', () => 1), step('b', () => 2)]);
    const late = await waitForEvent('late', { key: job.id });
    return { early: early?.payload ?? null, sum: a + b, late: late?.payload ?? null };
  },
});

const flaky = defineWorkflow({
  name: 'flaky',
  retry: { maxAttempts: 3, firstDelayMs: 1, maxDelayMs: 1 },
  run: async ({ job, step, sleep }) => {
    await step('first', () => 'kept');
    await sleep('short', 5);
    await step('second', () => {
      const calls = (failing.get(job.id) ?? 0) + 1;
      failing.set(job.id, calls);
      if (calls < 3) throw new Error(`failed ${String(calls)}`);
    });
    throw new NonRetriable('enough');
  },
});

const releasing = defineWorkflow({
  name: 'releasing',
  retry: { maxAttempts: 1 },
  async run({ job, step, waitForEvent, waitForAny, approval }) {
    const page = await step(
      'fetch',
      () => {
        const calls = (failing.get(job.id) ?? 0) + 1;
        failing.set(job.id, calls);
        throw new Error(`away ${String(calls)}`);
      },
      { retry: { maxAttempts: 2, firstDelayMs: 1, maxDelayMs: 1 } },
    ).catch((error: unknown) => (error instanceof StepFailed ? error.message : 'what?'));
    const check = await waitForEvent('check', { match: { sha: job.id } });
    const any = await waitForAny([
      { event: 'merged', key: job.id },
      { event: 'closed', key: job.id },
    ]);
    const answer = await approval('deploy');
    return { page, check: check?.payload, any: any?.index, approved: answer?.approved };
  },
});

const limited = defineWorkflow({
  name: 'limited',
  timeouts: { jobMs: 1_500 },
  run: async ({ waitForEvent }) => waitForEvent('never'),
});

let service: Service;
let client: JobledgerClient;
beforeAll(async () => {
  service = await startService({ workflows: [asking, flaky, releasing, limited] });
  client = createClient({ url: service.api });
}, 120_000);
afterAll(async () => {
  client.close();
  await service.stop();
}, 60_000);

/** What a job has come to, in the words that both sides have. */
type Story = Readonly<{
  types: readonly string[];
  status: string;
  result: unknown;
  error: unknown;
}>;

const toldByKit = ({ events, status, result, error }: TestRun): Story => ({
  types: events.map(({ type }) => type),
  status,
  result,
  error: error && { message: error.message, attempt: error.attempt },
});

async function toldByService(id: string): Promise<Story> {
  for await (const { finishedAt, status, result, error } of client.follow(id)) {
    if (finishedAt === null) continue;
    const events = await service.core.store.readStream(id);
    return {
      types: events.map(({ type }) => type),
      status,
      result,
      error: error && { message: error.message, attempt: error.attempt },
    };
  }
  throw new Error(`Job ${id} has not ended`);
}

const request = async ({ name: workflow }: Workflow) =>
  (await client.requestJob({ workflow, repository: 'octo/repo' })).id;

test('signals before and after their wait tell the same story in the kit and on the service', async () => {
  const id = await request(asking);
  await client.sendSignal('early', { key: id, payload: 'e', id: randomUUID() });
  for await (const { waitingFor } of client.follow(id)) if (waitingFor?.event === 'late') break;
  await client.sendSignal('late', { key: id, payload: 'l' });

  const run = await testWorkflow(asking);
  await run.signal('early', { key: run.jobId, payload: 'e' });
  await run.signal('late', { key: run.jobId, payload: 'l' });

  expect(toldByKit(run)).toEqual(await toldByService(id));
  expect(run.status).toBe('COMPLETED');
}, 60_000);

test('sleeps, retries and a permanent failure do too', async () => {
  const id = await request(flaky);
  const run = await testWorkflow(flaky);
  await run.advance(1_000);
  expect(toldByKit(run)).toEqual(await toldByService(id));
  expect(run).toMatchObject({ status: 'FAILED', attempt: 3 });
}, 60_000);

test('tries of a step, payloads that match, the first of several and an approval do too', async () => {
  const id = await request(releasing);
  const waits = async (event: string) => {
    for await (const { waitingFor } of client.follow(id)) if (waitingFor?.event === event) return;
  };
  await waits('check');
  await client.sendSignal('check', { payload: { sha: 'another' } });
  await client.sendSignal('check', { payload: { sha: id } });
  await waits('merged');
  await client.sendSignal('closed', { key: id });
  await waits('approval.deploy');
  const asked = await client.job(id);
  expect(asked?.waitingFor?.approval).toEqual({ name: 'deploy', approvers: null });
  expect(asked?.steps).toMatchObject([{ name: 'fetch', status: 'FAILED', error: 'away 2' }]);
  expect((await client.answerApproval(id, { approved: true })).id).toBe(id);

  const run = await testWorkflow(releasing, { jobId: '00000000-0000-7000-8000-000000000002' });
  await run.advance(1);
  await run.signal('check', { payload: { sha: 'another' } });
  await run.signal('check', { payload: { sha: run.jobId } });
  await run.signal('closed', { key: run.jobId });
  await run.approve();
  const kit = toldByKit(run);
  const told = await toldByService(id);
  expect(kit.types).toEqual(told.types);
  expect(kit.status).toBe('COMPLETED');
  expect(told.result).toEqual({ ...(kit.result as object), check: { sha: id } });

  await expect(client.answerApproval(id, { approved: true })).rejects.toMatchObject({
    code: 'JOB_FINISHED',
  });
}, 60_000);

test('a deadline does too', async () => {
  const id = await request(limited);
  const run = await testWorkflow(limited);
  await run.advance(1_500);
  expect(toldByKit(run)).toEqual(await toldByService(id));
  expect(run).toMatchObject({ status: 'FAILED', error: { classification: 'timeout' } });
}, 60_000);
