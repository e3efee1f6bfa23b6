import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { followJob, query } from '../support/api-client.ts';
import { Role, SDK, run } from '../support/program.ts';

let cwd: string;
const PATIENCE_MS = 120_000;
const env = { API_PORT: '0', INGRESS_PORT: '0', LOG_LEVEL: 'info' };

beforeAll(async () => {
  cwd = await openFolder();
});
afterAll(async () => {
  await rm(cwd, { recursive: true, force: true });
});

/** Postgres does not run as root, and needs to be let in as another user. */
async function openFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'jobledger-start-'));
  await chmod(folder, 0o755);
  return folder;
}

const json = async <T>(...args: string[]): Promise<T> => {
  const { code, stdout, stderr } = await run([...args, '--json'], { env, cwd });
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return JSON.parse(stdout) as T;
};

const dashboardOf = (output: string) => /Dashboard\s+(http:\S+)\//.exec(output)?.[1] ?? '';

test(
  'in an empty folder, with nothing else: start, send the sample, see it reviewed',
  async () => {
    const begun = performance.now();
    const service = new Role('start', { env, cwd });
    const output = await service.printed('webhooks send --sample');
    const api = dashboardOf(output);

    const { status, jobs } = await json<{
      status: number;
      jobs: { id: string; workflow: string }[];
    }>('webhooks', 'send', '--sample');
    expect(status).toBe(202);
    expect(jobs).toMatchObject([{ workflow: 'code-review' }]);
    const id = jobs[0]?.id ?? '';

    const seen = await followJob(api, id);
    const seconds = (performance.now() - begun) / 1_000;
    expect(seen.at(-1)).toMatchObject({
      status: 'COMPLETED',
      error: null,
      result: {
        findings: expect.arrayContaining([
          expect.objectContaining({ file: 'src/checkout.ts', rule: 'no-sql-injection' }),
        ]) as unknown,
      },
    });
    expect(seconds).toBeLessThan(60);

    // A subscription that begins late misses what was before it; the history has all of it.
    const { job } = await query<{ job: { history: { nodes: { type: string }[] } } }>(
      api,
      'query ($id: ID!) { job(id: $id) { history { nodes { type } } } }',
      { id },
    );
    expect(job.history.nodes.map(({ type }) => type)).toEqual([
      'JobRequested',
      'JobStarted',
      'JobStepCompleted',
      'JobPaused',
      'JobResumed',
      'JobStarted',
      'JobCompleted',
    ]);
    expect(await json<{ status: string }>('jobs', 'show', id)).toMatchObject({
      status: 'COMPLETED',
    });
    expect(await json<unknown[]>('jobs', 'list')).toHaveLength(1);

    // The same delivery again is the same job; what follows survives a restart.
    expect(await service.stop()).toBe(0);
    const again = new Role('start', { env, cwd });
    await again.printed('webhooks send --sample');
    expect(await json<{ status: string }>('jobs', 'show', id)).toMatchObject({
      status: 'COMPLETED',
    });
    expect(await json<{ faults: string[] }>('events', 'verify')).toMatchObject({ faults: [] });
    expect(await again.stop()).toBe(0);
  },
  PATIENCE_MS,
);

test(
  'the statuses of the sample, as a subscriber that is there from the start sees them',
  async () => {
    const service = new Role('start', { env, cwd });
    const api = dashboardOf(await service.printed('webhooks send --sample'));
    const client = watchNewJobs(api);
    const { jobs } = await json<{ jobs: { id: string }[] }>('webhooks', 'send', '--sample');
    const statuses = await client.untilEnd(jobs[0]?.id ?? '');
    expect(statuses).toEqual(['REQUESTED', 'RUNNING', 'PAUSED', 'RUNNING', 'COMPLETED']);
    expect(await service.stop()).toBe(0);
  },
  PATIENCE_MS,
);

test(
  'workflows that cannot be imported: one sentence, exit 1, and nothing is left running',
  async () => {
    await writeFile(join(cwd, 'broken.mjs'), "import 'jobledger';");
    const { code, stderr } = await run(['start'], {
      env: { ...env, WORKFLOWS: 'broken.mjs', LOG_LEVEL: 'silent' },
      cwd,
    });
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^jobledger: WORKFLOWS: .* npm install /) as string,
    });
  },
  PATIENCE_MS,
);

test(
  'a command takes the workflows of the running start',
  async () => {
    await writeFile(
      join(cwd, 'mine.mjs'),
      `import { defineWorkflow } from '${SDK}';
       export const mine = defineWorkflow({ name: 'mine', on: [{ event: 'pull_request' }], run: () => 1 });`,
    );
    const service = new Role('start', { env: { ...env, WORKFLOWS: 'mine.mjs' }, cwd });
    await service.printed('webhooks send --sample');
    await json('webhooks', 'send', '--sample');
    const [delivery] = await json<{ id: string }[]>('deliveries', 'list');
    const explained = await json<{ workflows: { workflow: string }[] }>(
      'webhooks',
      'test',
      '--delivery',
      delivery?.id ?? '',
    );
    expect(explained.workflows).toMatchObject([{ workflow: 'mine' }]);
    expect(await service.stop()).toBe(0);
  },
  PATIENCE_MS,
);

test(
  'a port that is taken: one sentence, exit 1, and nothing is left running',
  async () => {
    const first = new Role('start', { env, cwd });
    const port = new URL(dashboardOf(await first.printed('webhooks send --sample'))).port;
    const other = await openFolder();
    const second = await run(['start'], {
      env: { ...env, API_PORT: port, LOG_LEVEL: 'silent' },
      cwd: other,
    });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain('or set INGRESS_PORT, API_PORT or ADMIN_PORT');
    expect(await first.stop()).toBe(0);
    await rm(other, { recursive: true, force: true });
  },
  PATIENCE_MS,
);

/** Follows all jobs by the log, so nothing of a job's beginning is missed. */
function watchNewJobs(api: string) {
  const controller = new AbortController();
  const stream = fetch(`${api}/graphql/stream`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ query: 'subscription { jobsUpdated { id status } }' }),
    signal: controller.signal,
  });
  return {
    untilEnd: async (id: string): Promise<readonly string[]> => {
      const reader = (await stream).body!.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      while (!text.includes('COMPLETED')) text += (await reader.read()).value ?? '';
      controller.abort();
      return [...text.matchAll(/"id":"([^"]+)","status":"([A-Z]+)"/g)]
        .filter(([, of]) => of === id)
        .map(([, , status]) => status ?? '')
        .filter((status, index, all) => status !== all[index - 1]);
    },
  };
}
