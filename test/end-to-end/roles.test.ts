import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { query } from '../support/api-client.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { Deployment, jobOnce, SECRET } from '../support/deployment.ts';
import { eventually } from '../support/eventually.ts';
import { startPrivateRabbitmq, type PrivateRabbitmq } from '../support/private-servers.ts';
import { run } from '../support/program.ts';
import { deliver, push } from '../support/webhooks.ts';

const PATIENCE_MS = 180_000;

let broker: PrivateRabbitmq;
let database: TestDatabase;
let deployment: Deployment;

beforeAll(async () => {
  broker = await startPrivateRabbitmq();
}, PATIENCE_MS);
afterAll(async () => {
  await broker.close();
});
afterEach(async () => {
  await deployment.close();
  await database.drop();
});

async function open(env: Record<string, string> = {}): Promise<Deployment> {
  database = await createDatabase();
  deployment = await Deployment.open({ databaseUrl: database.url, rabbitmqUrl: broker.url }, env);
  return deployment;
}

type Accepted = { jobs: { id: string }[] };

const accepted = async (response: Response): Promise<string> => {
  expect(response.status).toBe(202);
  return ((await response.json()) as Accepted).jobs[0]?.id ?? '';
};

const typesOf = ({ history }: { history: { nodes: { type: string }[] } }) =>
  history.nodes.map(({ type }) => type);

test(
  'the four roles on Postgres and RabbitMQ review the sample, and refuse a wrong signature',
  async () => {
    const { environment: env, folder: cwd } = await open();
    const [api, ingress] = await Promise.all([
      deployment.startApi(),
      deployment.startIngress(),
      deployment.startProjector(),
      deployment.startWorker(),
    ]);
    const sent = await run(['webhooks', 'send', '--sample', '--url', ingress, '--json'], {
      env,
      cwd,
    });
    expect(sent).toMatchObject({ code: 0 });
    const id = (JSON.parse(sent.stdout) as Accepted).jobs[0]?.id ?? '';
    const job = await jobOnce(api, id, ({ status }) => status === 'COMPLETED');
    expect(typesOf(job)).toEqual([
      'JobRequested',
      'JobStarted',
      'JobStepCompleted',
      'JobPaused',
      'JobResumed',
      'JobStarted',
      'JobCompleted',
    ]);

    const before = await query(
      api,
      '{ events(first: 100) { nodes { id } } deliveries { totalCount } }',
    );
    const forged = await deliver(ingress, push(), { secret: 'another' });
    expect(forged.status).toBe(401);
    expect(forged.headers.get('content-type')).toContain('application/problem+json');
    expect(
      await query(api, '{ events(first: 100) { nodes { id } } deliveries { totalCount } }'),
    ).toEqual(before);

    const replay = await run(['projections', 'rebuild', '--all', '--yes', '--verify', '--json'], {
      env,
      cwd,
    });
    expect(replay).toMatchObject({ code: 0 });
    expect(JSON.parse(replay.stdout)).toMatchObject([
      { outcome: 'swapped', verified: true },
      { outcome: 'swapped', verified: true },
    ]);
  },
  PATIENCE_MS,
);

describe('kill -9', () => {
  test(
    'of a worker in the middle of a step: another takes over within the lease, finished steps are not run again',
    async () => {
      const leaseMs = 2_000;
      await open({ LEASE_MS: String(leaseMs) });
      const steps = join(deployment.folder, 'steps');
      const go = join(deployment.folder, 'go');
      const workflows = await deployment.writeWorkflows(
        'kill.mjs',
        `import { appendFileSync, existsSync } from 'node:fs';
         export const killed = defineWorkflow({
           name: 'killed',
           on: [{ event: 'push' }],
           async run({ step }) {
             const first = await step('first', () => { appendFileSync(${JSON.stringify(steps)}, 'first\\n'); return 1; });
             await step('second', async () => {
               appendFileSync(${JSON.stringify(steps)}, 'second\\n');
               while (!existsSync(${JSON.stringify(go)})) await new Promise((resolve) => setTimeout(resolve, 20));
             });
             return { first };
           },
         });`,
      );
      const env = { WORKFLOWS: workflows };
      const [api, ingress, , worker] = await Promise.all([
        deployment.startApi(env),
        deployment.startIngress(env),
        deployment.startProjector(env),
        deployment.startWorker(env),
      ]);
      const id = await accepted(await deliver(ingress, push(), { secret: SECRET }));
      await eventually(
        async () => {
          expect(await readFile(steps, 'utf8')).toBe('first\nsecond\n');
        },
        { timeoutMs: 60_000 },
      );
      await deployment.startWorker(env);

      worker.kill('SIGKILL');
      await worker.exited;
      const killedAt = Date.now();
      const taken = await jobOnce(
        api,
        id,
        (job) => typesOf(job).filter((type) => type === 'JobStarted').length === 2,
      );
      expect(Date.now() - killedAt).toBeLessThan(leaseMs + 10_000);
      expect(typesOf(taken)).toContain('JobInterrupted');
      await writeFile(go, '');

      const job = await jobOnce(api, id, ({ status }) => status === 'COMPLETED');
      expect(job).toMatchObject({ attempt: 2, result: { first: 1 } });
      expect(await readFile(steps, 'utf8')).toBe('first\nsecond\nsecond\n');
    },
    PATIENCE_MS,
  );
});

describe('RabbitMQ stopped, its data deleted, started again', () => {
  test(
    'webhooks are accepted all the while, and every waiting job still runs',
    async () => {
      await open({ REDISPATCH_AFTER_MS: '1000' });
      const workflows = await deployment.writeWorkflows(
        'wipe.mjs',
        `export const waits = defineWorkflow({
           name: 'waits',
           on: [{ event: 'push' }],
           async run({ waitForEvent, job }) {
             const signal = await waitForEvent('go', { key: job.trigger.repository.fullName });
             return signal.payload;
           },
         });`,
      );
      const env = { WORKFLOWS: workflows };
      const [api, ingress] = await Promise.all([
        deployment.startApi(env),
        deployment.startIngress(env),
        deployment.startProjector(env),
      ]);
      const send = async (repository: string) =>
        accepted(await deliver(ingress, push(repository), { secret: SECRET }));
      // In the queue, as no worker is there yet.
      const queued = await send('o/queued');
      await eventually(
        async () => {
          const { queues } = await query<{ queues: { name: string; ready: number }[] }>(
            api,
            '{ queues { name ready } }',
          );
          expect(queues.find(({ name }) => name === 'workflow.jobs.queue')?.ready).toBeGreaterThan(
            0,
          );
        },
        { timeoutMs: 60_000 },
      );

      await broker.stop();
      const sentMeanwhile = await send('o/while-away');
      await broker.wipe();
      await broker.start();
      await deployment.startWorker(env);

      for (const [id, repository] of [
        [queued, 'o/queued'],
        [sentMeanwhile, 'o/while-away'],
      ] as const) {
        await jobOnce(api, id, ({ status }) => status === 'PAUSED');
        const { sendSignal } = await query<{ sendSignal: { stored: boolean } }>(
          api,
          'mutation ($key: String!) { sendSignal(event: "go", key: $key, payload: "done") { stored } }',
          { key: repository },
        );
        expect(sendSignal.stored).toBe(true);
        const job = await jobOnce(api, id, ({ status }) => status === 'COMPLETED');
        expect(job.result).toBe('done');
      }
    },
    PATIENCE_MS,
  );
});

test(
  'a role without its URLs, or with an outdated database, says so in one sentence and ends',
  async () => {
    const { folder: cwd } = await open();
    const none = await run(['worker'], { env: {}, cwd });
    expect(none).toMatchObject({ code: 1 });
    expect(none.stderr).toContain('needs DATABASE_URL');
    const noBroker = await run(['worker'], { env: { DATABASE_URL: database.url }, cwd });
    expect(noBroker.stderr).toContain('needs RABBITMQ_URL');
    const wrong = await run(['start'], { env: { API_PORT: 'many', LEASE_MS: '5' }, cwd });
    expect(wrong).toMatchObject({ code: 2 });
    expect(wrong.stderr).toContain('API_PORT');
    expect(wrong.stderr).toContain('LEASE_MS');
  },
  PATIENCE_MS,
);
