import { afterAll, beforeAll, expect, test } from 'vitest';

import { defineWorkflow } from '../../src/sdk/index.ts';
import { query } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { type Service, startService } from '../support/service.ts';
import { gate } from '../workers/engine.ts';

const PATIENCE_MS = 120_000;
const held = gate();

const stepping = defineWorkflow({
  name: 'stepping',
  retry: { maxAttempts: 1 },
  async run({ step }) {
    await step('first', () => 1);
    await step('second', () => held.opened);
    await step('third', () => {
      throw new Error('no third');
    });
  },
});

let service: Service;
beforeAll(async () => {
  service = await startService({ workflows: [stepping] });
}, PATIENCE_MS);
afterAll(() => service.stop(), PATIENCE_MS);

type Shown = {
  position: string;
  steps: { name: string; status: string; error: string | null; finishedAt: string | null }[];
  error: { step: string | null } | null;
};

const FIELDS = 'position steps { name status error finishedAt } error { step }';

async function bothWays(id: string): Promise<readonly (Shown | undefined)[]> {
  const { job, jobs } = await query<{ job: Shown; jobs: { nodes: Shown[] } }>(
    service.api,
    `query ($id: ID!) { job(id: $id) { ${FIELDS} } jobs { nodes { ${FIELDS} } } }`,
    { id },
  );
  return [job, jobs.nodes[0]];
}

test(
  'a job shows the steps that are done, that run now, and that failed',
  async () => {
    const { requestJob } = await query<{ requestJob: { job: { id: string } } }>(
      service.api,
      `mutation { requestJob(input: { workflow: "stepping", repository: "octo/repo" }) { job { id } } }`,
    );
    const { id } = requestJob.job;
    const statuses = (shown: Shown | undefined) =>
      shown?.steps.map(({ name, status }) => `${name} ${status}`);
    await eventually(
      async () => {
        for (const shown of await bothWays(id)) {
          expect(statuses(shown)).toEqual(['first COMPLETED', 'second RUNNING']);
        }
      },
      { timeoutMs: 30_000 },
    );
    const [{ position } = { position: '' }] = await bothWays(id);
    const past = await query<{ job: Shown }>(
      service.api,
      `query ($id: ID!, $at: Position) { job(id: $id, at: $at) { ${FIELDS} } }`,
      { id, at: position },
    );
    expect(statuses(past.job)).toEqual(['first COMPLETED']);

    held.open();
    await eventually(
      async () => {
        for (const shown of await bothWays(id)) {
          expect(statuses(shown)).toEqual(['first COMPLETED', 'second COMPLETED', 'third FAILED']);
          expect(shown).toMatchObject({ error: { step: 'third' } });
          expect(shown?.steps.at(-1)).toMatchObject({ error: 'no third' });
        }
      },
      { timeoutMs: 30_000 },
    );
  },
  PATIENCE_MS,
);
