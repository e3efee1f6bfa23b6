import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { Database } from '../../src/platform/database.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { sql } from '../../src/platform/sql.ts';
import { createDatabase } from '../support/database.ts';
import { Deployment, SECRET } from '../support/deployment.ts';
import { eventually } from '../support/eventually.ts';
import type { Role } from '../support/program.ts';
import { createVhost } from '../support/rabbitmq.ts';
import { deliver, push } from '../support/webhooks.ts';

const PATIENCE_MS = 180_000;
const RESTARTS = 4;
const EVERY_MS = 60;
const LONG_EVERY = 25;

let deployment: Deployment;
let database: Database;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  const [own, vhost] = await Promise.all([createDatabase(), createVhost()]);
  const logger = createLogger('silent', 'test');
  database = new Database(own.url, { max: 1, applicationName: 'test', logger });
  deployment = await Deployment.open({ databaseUrl: own.url, rabbitmqUrl: vhost.url });
  closers.push(
    () => deployment.close(),
    () => database.close(),
    () => own.drop(),
    () => vhost.drop(),
  );
}, PATIENCE_MS);

afterAll(async () => {
  for (const close of closers) await close();
}, PATIENCE_MS);

/** Each step says in a file that it did something. */
const workflows = (effects: string): string => `
  import { appendFileSync } from 'node:fs';
  import { setTimeout } from 'node:timers/promises';
  const done = (job, step) => appendFileSync(${JSON.stringify(effects)}, job.id + ' ' + step + '\\n');
  const on = (name) => [{ event: 'push', repository: 'o/' + name }];
  export const short = defineWorkflow({
    name: 'short', on: on('short'),
    async run({ step, job }) {
      for (const name of ['first', 'second']) {
        await step(name, async () => { await setTimeout(50 + Math.random() * 150); done(job, name); });
      }
    },
  });
  export const long = defineWorkflow({
    name: 'long', on: on('long'),
    run: ({ step, job }) => step('only', async () => { await setTimeout(2_000); done(job, 'only'); }),
  });`;

test(
  'workers that are restarted one after the other under load interrupt nothing, lose nothing, and do nothing twice',
  async () => {
    const effects = join(deployment.folder, 'effects');
    const env = { WORKFLOWS: await deployment.writeWorkflows('rolling.mjs', workflows(effects)) };
    const [ingress] = await Promise.all([
      deployment.startIngress(env),
      deployment.startProjector(env),
    ]);
    const workers = [await deployment.startWorker(env), await deployment.startWorker(env)];
    const over = new AbortController();
    const sending = send(ingress, over.signal);
    for (let restart = 0; restart < RESTARTS; restart++) await restartOldest(workers, env);
    over.abort();
    const accepted = await sending;

    expect(accepted.length).toBeGreaterThan(20);
    await eventually(
      async () => {
        expect(await jobsWith('JobCompleted')).toEqual(accepted);
      },
      { timeoutMs: 60_000, everyMs: 250 },
    );
    expect(await jobsWith('JobRequested')).toEqual(accepted);
    expect(await tookFromAttempts()).toEqual([]);
    const done = (await readFile(effects, 'utf8')).trim().split('\n');
    expect(repeated(done)).toEqual([]);
  },
  PATIENCE_MS,
);

/** As an orchestrator does: the new one first. */
async function restartOldest(workers: Role[], env: Record<string, string>): Promise<void> {
  workers.push(await deployment.startWorker(env));
  // Some jobs run on each, whatever the machine was busy with.
  await sleep(500);
  expect(await workers.shift()?.stop()).toBe(0);
}

/** Steady deliveries until the signal; gives the ids of the jobs of those that were accepted. */
async function send(ingress: string, signal: AbortSignal): Promise<readonly string[]> {
  const answers: Promise<string>[] = [];
  for (let count = 0; !signal.aborted; count++) {
    const repository = count % LONG_EVERY === 0 ? 'o/long' : 'o/short';
    answers.push(
      deliver(ingress, push(repository), { secret: SECRET }).then(async (response) => {
        expect(response.status).toBe(202);
        const { jobs } = (await response.json()) as { jobs: readonly { id: string }[] };
        return jobs[0]?.id ?? '';
      }),
    );
    await sleep(EVERY_MS);
  }
  return (await Promise.all(answers)).toSorted();
}

async function jobsWith(type: string): Promise<readonly string[]> {
  const rows = await database.query<{ id: string }>(
    sql`select stream_id as id from log.events where type = ${type}`,
  );
  return rows.map(({ id }) => id).toSorted();
}

/** What must not be: an attempt used up, for whatever reason. */
const tookFromAttempts = (): Promise<readonly object[]> =>
  database.query(sql`
    select stream_id, type, data from log.events
    where type in ('JobFailed', 'JobAttemptFailed')
       or type = 'JobInterrupted' and data->>'reason' <> 'released'
       or (data->>'attempt')::int > 1`);

const repeated = (lines: readonly string[]): readonly string[] =>
  lines.filter((line, place) => lines.indexOf(line) !== place);
