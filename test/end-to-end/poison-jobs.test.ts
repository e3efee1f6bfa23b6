import { afterAll, beforeAll, expect, test } from 'vitest';

import { query } from '../support/api-client.ts';
import { createDatabase } from '../support/database.ts';
import { Deployment, jobOnce } from '../support/deployment.ts';
import { eventually } from '../support/eventually.ts';
import type { Role } from '../support/program.ts';
import { createVhost } from '../support/rabbitmq.ts';

const PATIENCE_MS = 180_000;

let deployment: Deployment;
let api: string;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  const [database, vhost] = await Promise.all([createDatabase(), createVhost()]);
  deployment = await Deployment.open(
    { databaseUrl: database.url, rabbitmqUrl: vhost.url },
    { LEASE_MS: '1000' },
  );
  closers.push(
    () => deployment.close(),
    () => database.drop(),
    () => vhost.drop(),
  );
  const path = await deployment.writeWorkflows(
    'poison.mjs',
    `const retry = { maxAttempts: 2, firstDelayMs: 10, maxDelayMs: 10 };
     const poison = (name, drink) =>
       defineWorkflow({ name, retry, run: ({ step }) => step('drink', drink) });
     export const loop = poison('loop', () => { while (true); });
     export const exit = poison('exit', () => process.exit(3));
     export const crash = poison('crash', () => {
       setImmediate(() => { throw new Error('outside of every promise'); });
       return new Promise(() => {});
     });
     export const healthy = defineWorkflow({ name: 'healthy', run: async () => 'well' });`,
  );
  const env = { WORKFLOWS: path };
  [api] = await Promise.all([deployment.startApi(env), deployment.startProjector(env)]);
  const supervised = supervise(env);
  closers.unshift(supervised.stop);
}, PATIENCE_MS);

afterAll(async () => {
  for (const close of closers) await close();
}, PATIENCE_MS);

const ended: Role[] = [];

/** Starts a worker, and another one whenever it ended. */
function supervise(env: Record<string, string>): { stop: () => Promise<void> } {
  const stopping = new AbortController();
  const running = (async () => {
    while (!stopping.signal.aborted) {
      const worker = deployment.start('worker', env);
      stopping.signal.addEventListener('abort', () => {
        worker.kill('SIGKILL');
      });
      await worker.exited;
      ended.push(worker);
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

async function request(workflow: string): Promise<string> {
  const { requestJob } = await query<{ requestJob: { job: { id: string } } }>(
    api,
    `mutation ($input: RequestJobInput!) { requestJob(input: $input) { job { id } } }`,
    { input: { workflow, repository: 'octo/repo' } },
  );
  return requestJob.job.id;
}

test.each(['loop', 'exit', 'crash'])(
  'a workflow that takes its worker down (%s) is tried again and then fails, and its worker comes back',
  async (workflow) => {
    const id = await request(workflow);
    const job = await jobOnce(api, id, ({ status }) => status === 'FAILED');
    expect(job.error).toMatchObject({
      classification: 'INTERRUPTED',
      message: expect.stringContaining('fell silent in each attempt'),
    });
    expect(job.history.nodes.map(({ type }) => type)).toEqual([
      'JobRequested',
      'JobStarted',
      'JobInterrupted',
      'JobStarted',
      'JobInterrupted',
      'JobFailed',
    ]);
    await jobOnce(api, await request('healthy'), ({ status }) => status === 'COMPLETED');
    if (workflow !== 'loop') return;
    await eventually(() => {
      const words = ended.flatMap(({ log }) => log.map(({ msg }) => msg));
      expect(words.filter((msg) => msg.includes('not let the event loop turn'))).toHaveLength(2);
    });
  },
  PATIENCE_MS,
);
