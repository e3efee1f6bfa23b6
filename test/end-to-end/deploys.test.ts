import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { query } from '../support/api-client.ts';
import { createDatabase } from '../support/database.ts';
import { Deployment, SECRET, jobOnce } from '../support/deployment.ts';
import type { Role } from '../support/program.ts';
import { createVhost } from '../support/rabbitmq.ts';
import { deliver, push } from '../support/webhooks.ts';

const PATIENCE_MS = 180_000;

let deployment: Deployment;
let api: string;
let ingress: string;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  const [database, vhost] = await Promise.all([createDatabase(), createVhost()]);
  deployment = await Deployment.open({ databaseUrl: database.url, rabbitmqUrl: vhost.url });
  closers.push(
    () => deployment.close(),
    () => database.drop(),
    () => vhost.drop(),
  );
  const env = { WORKFLOWS: await versioned('first.mjs', '1', "await once('clone');") };
  [api, ingress] = await Promise.all([
    deployment.startApi(env),
    deployment.startIngress(env),
    deployment.startProjector(env),
  ]);
}, PATIENCE_MS);

afterAll(async () => {
  for (const close of closers) await close();
}, PATIENCE_MS);

const effects = (): string => join(deployment.folder, 'effects');

/** The workflow in one of its versions: what it does before it waits, and after. */
const versioned = (
  file: string,
  version: string,
  before: string,
  after = 'return { version: job.version, signal: signal.payload };',
): Promise<string> =>
  deployment.writeWorkflows(
    file,
    `import { appendFileSync } from 'node:fs';
     export const deployed = defineWorkflow({
       name: 'deployed', on: [{ event: 'push' }], version: ${JSON.stringify(version)},
       async run({ step, waitForEvent, job }) {
         const once = (name) =>
           step(name, () => appendFileSync(${JSON.stringify(effects())}, job.id + ' ' + name + '\\n'));
         ${before}
         const signal = await waitForEvent('go', { key: job.id });
         ${after}
       },
     });`,
  );

const startWorker = (WORKFLOWS: string): Promise<Role> => deployment.startWorker({ WORKFLOWS });

/** A job that waits, and that has the first version behind it, whose worker is gone. */
async function waitingJob(): Promise<string> {
  const worker = await startWorker(join(deployment.folder, 'first.mjs'));
  const response = await deliver(ingress, push(), { secret: SECRET });
  const { jobs } = (await response.json()) as { jobs: readonly { id: string }[] };
  const id = jobs[0]?.id ?? '';
  await jobOnce(api, id, ({ status }) => status === 'PAUSED');
  expect(await worker.stop()).toBe(0);
  return id;
}

const signal = (id: string): Promise<unknown> =>
  query(
    api,
    'mutation ($key: String!) { sendSignal(event: "go", key: $key, payload: "went") { stored } }',
    { key: id },
  );

const done = async (id: string): Promise<readonly string[]> =>
  (await readFile(effects(), 'utf8'))
    .split('\n')
    .filter((line) => line.startsWith(id))
    .map((line) => line.slice(id.length + 1));

test(
  'a job that waited through a deploy goes on with the new code and its finished steps',
  async () => {
    const id = await waitingJob();
    const worker = await startWorker(
      await versioned(
        'second.mjs',
        '2',
        "await once('clone');",
        "await once('added'); return { begunWith: job.version, signal: signal.payload };",
      ),
    );
    await signal(id);
    const job = await jobOnce(api, id, ({ status }) => status === 'COMPLETED');
    expect(job).toMatchObject({ attempt: 1, result: { begunWith: '1', signal: 'went' } });
    expect(await done(id)).toEqual(['clone', 'added']);
    const started = job.history.nodes.filter(({ type }) => type === 'JobStarted');
    expect(started.map(({ data }) => data['version'])).toEqual(['1', '2']);
    await worker.stop();
  },
  PATIENCE_MS,
);

test(
  'a job whose step was renamed meanwhile fails, says so, and does nothing new',
  async () => {
    const id = await waitingJob();
    const worker = await startWorker(await versioned('renamed.mjs', '3', "await once('fetch');"));
    await signal(id);
    const job = await jobOnce(api, id, ({ status }) => status === 'FAILED');
    expect(job.error).toMatchObject({
      classification: 'PERMANENT',
      message: expect.stringContaining(
        'version 1 did step "clone", and version 3 came to step "fetch"',
      ),
    });
    expect(await done(id)).toEqual(['clone']);
    await worker.stop();
  },
  PATIENCE_MS,
);
