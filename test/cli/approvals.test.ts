import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { defineWorkflow } from '../../src/sdk/index.ts';
import { query } from '../support/api-client.ts';
import { run } from '../support/program.ts';
import { type Service, startService } from '../support/service.ts';

const PATIENCE_MS = 120_000;

const asks = defineWorkflow({
  name: 'asks',
  run: ({ approval }) => approval('deploy', { approvers: ['ada', 'bob'] }),
});

let service: Service;
let cwd: string;

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'jobledger-approvals-'));
  service = await startService({ workflows: [asks] });
}, PATIENCE_MS);
afterAll(async () => {
  await service.stop();
  await rm(cwd, { recursive: true, force: true });
}, PATIENCE_MS);

const cli = (...args: string[]) =>
  run(args, { env: { DATABASE_URL: service.core.databaseUrl }, cwd });

async function pausedJob(): Promise<string> {
  const { requestJob } = await query<{ requestJob: { job: { id: string } } }>(
    service.api,
    `mutation { requestJob(input: { workflow: "asks", repository: "octo/repo" }) { job { id } } }`,
  );
  const { id } = requestJob.job;
  while (!(await cli('jobs', 'show', id)).stdout.includes('PAUSED')) continue;
  return id;
}

async function resultOf(id: string): Promise<unknown> {
  for (;;) {
    const { stdout } = await cli('jobs', 'show', id, '--json');
    const { status, result } = JSON.parse(stdout) as { status: string; result: unknown };
    if (status === 'COMPLETED') return result;
  }
}

test(
  'a job that asks for an approval gets it from one who may give it, once',
  async () => {
    const id = await pausedJob();
    expect((await cli('jobs', 'show', id)).stdout).toContain('approval.deploy of ada or bob');
    const eve = await cli('jobs', 'approve', id, '--by', 'eve');
    expect(eve.code).not.toBe(0);
    expect(eve.stderr).toContain('The approval is for others to give');
    expect((await cli('jobs', 'approve', id, '--by', 'ada', '--comment', 'go')).code).toBe(0);
    expect(await resultOf(id)).toEqual({ approved: true, by: 'ada', comment: 'go' });
    expect((await cli('jobs', 'reject', id, '--by', 'bob')).stderr).toContain('has ended');
  },
  PATIENCE_MS,
);

test(
  'or a no',
  async () => {
    const id = await pausedJob();
    expect((await cli('jobs', 'reject', id, '--by', 'bob')).code).toBe(0);
    expect(await resultOf(id)).toEqual({ approved: false, by: 'bob', comment: null });
  },
  PATIENCE_MS,
);
