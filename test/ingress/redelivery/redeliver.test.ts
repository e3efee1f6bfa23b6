import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { sql } from '../../../src/platform/sql.ts';
import { redeliverMany } from '../../../src/ingress/redelivery/redeliver-many.ts';
import type { Door, Redelivery } from '../../../src/write/door.ts';
import { defineWorkflow } from '../../../src/sdk/index.ts';
import { eventually } from '../../support/eventually.ts';
import { run } from '../../support/program.ts';
import { SECRET, type Service, startService } from '../../support/service.ts';
import { deliver, push } from '../../support/webhooks.ts';

const PATIENCE_MS = 120_000;
let service: Service;
let breaks = true;

const review = defineWorkflow({
  name: 'review',
  retry: { maxAttempts: 1 },
  run: async ({ job }) => {
    if (breaks && job.trigger.repository?.fullName === 'octo/breaks') {
      await Promise.reject(new Error('broken'));
    }
    return 'done';
  },
});

beforeAll(async () => {
  service = await startService({ workflows: [review] });
}, PATIENCE_MS);
afterAll(async () => {
  await service.stop();
});

type Many = {
  matched: number;
  unwanted: number;
  refused: number;
  requested: number;
  retried: number;
  unchanged: number;
  endCursor: string | null;
  errors: { code: string }[];
};

async function many(filter: object, more: object = {}): Promise<Many> {
  const { redeliverMany: counts } = await service.query<{ redeliverMany: Many }>(
    `mutation ($filter: DeliveryFilter!, $onlyFailed: Boolean, $dryRun: Boolean, $first: Int, $after: String) {
      redeliverMany(filter: $filter, onlyFailed: $onlyFailed, dryRun: $dryRun, first: $first, after: $after) {
        matched unwanted refused requested retried unchanged endCursor errors { code } } }`,
    { filter, ...more },
  );
  return counts;
}

async function send(repository: string): Promise<string> {
  const response = await deliver(service.ingress, push(repository), { secret: SECRET });
  const { jobs } = (await response.json()) as { jobs: { id: string }[] };
  return jobs[0]?.id ?? '';
}

const statusOf = async (id: string): Promise<string | undefined> => {
  const { job } = await service.query<{ job: { status: string } | null }>(
    `{ job(id: "${id}") { status } }`,
  );
  return job?.status;
};

const inReadModel = async (id: string): Promise<string | undefined> => {
  const [row] = await service.core.database.query<{ status: string }>(
    sql`select status from read.jobs where job_id = ${id}`,
  );
  return row?.status;
};

/** As if they had come while no workflow wanted them: no job, and no trigger in the row either. */
async function forget(repository: string): Promise<void> {
  await service.core.database.query(sql`
    update ingress.deliveries
    set delivery_key = 'forgotten ' || delivery_key, jobs = '[]', triggers = '[]', outcome = 'unmappable',
      reason = 'The payload could not be read'
    where repository = ${repository}`);
}

describe('redelivering many', () => {
  test(
    'retries what failed and leaves the rest, after a dry run that says the same and does nothing',
    async () => {
      const failed = await send('octo/breaks');
      const fine = await send('octo/breaks-not');
      await eventually(async () => {
        expect(await inReadModel(failed)).toBe('FAILED');
        expect(await inReadModel(fine)).toBe('COMPLETED');
      });
      breaks = false;
      const expected = { matched: 1, retried: 1, requested: 0, unchanged: 0, refused: 0 };
      const filter = { source: ['github'] };
      expect(await many(filter, { onlyFailed: true, dryRun: true })).toMatchObject(expected);
      expect(await statusOf(failed)).toBe('FAILED');
      expect(await many(filter, { onlyFailed: true })).toMatchObject(expected);
      await eventually(async () => {
        expect(await inReadModel(failed)).toBe('COMPLETED');
      });
      expect(await many(filter, { onlyFailed: true })).toMatchObject({ matched: 0 });
      expect(await many(filter)).toMatchObject({ matched: 2, unchanged: 2, retried: 0 });
    },
    PATIENCE_MS,
  );

  test(
    'reads a delivery that could not be mapped again from its bytes, and requests its job',
    async () => {
      await send('octo/forgotten');
      await forget('octo/forgotten');
      const filter = { outcome: ['UNMAPPABLE'] };
      expect(await many(filter, { onlyFailed: true, dryRun: true })).toMatchObject({
        matched: 1,
        requested: 1,
      });
      expect(await many(filter, { onlyFailed: true })).toMatchObject({ requested: 1 });
      const { deliveries } = await service.query<{
        deliveries: { nodes: { outcome: string; triggers: object[]; jobs: object[] }[] };
      }>(
        '{ deliveries(filter: { repository: "octo/forgotten" }) { nodes { outcome triggers { ref } jobs { id } } } }',
      );
      expect(deliveries.nodes).toMatchObject([
        { outcome: 'ACCEPTED', triggers: [{ ref: 'main' }], jobs: [{}] },
      ]);
    },
    PATIENCE_MS,
  );

  test(
    'goes page after page, and refuses deliveries of sources that are not configured',
    async () => {
      for (let n = 0; n < 5; n += 1) await send('octo/paged');
      const filter = { repository: 'octo/paged' };
      const first = await many(filter, { first: 3, dryRun: true });
      expect(first).toMatchObject({ matched: 3, endCursor: expect.any(String) as string });
      const rest = await many(filter, { first: 3, dryRun: true, after: first.endCursor });
      expect(rest).toMatchObject({ matched: 2, endCursor: null });
      await service.core.database.query(sql`
        update ingress.deliveries set source = 'gone' where repository = 'octo/paged'`);
      expect(await many(filter)).toMatchObject({ matched: 5, refused: 5, requested: 0 });
    },
    PATIENCE_MS,
  );
});

describe('the command', () => {
  const cli = (args: readonly string[], env: object = {}) =>
    run(['deliveries', 'redeliver', ...args], {
      env: { DATABASE_URL: service.core.databaseUrl, ...env },
      cwd: service.dataDir,
    });

  /** Workflows of the module that the command loads, which are not those of the service. */
  async function withSource(change: object) {
    const sources = join(service.dataDir, 'sources.json');
    const workflows = join(service.dataDir, 'workflows.mjs');
    await writeFile(
      sources,
      JSON.stringify([
        { name: 'github', provider: 'github', secrets: [{ value: SECRET }], ...change },
      ]),
    );
    await writeFile(
      workflows,
      `export const late = { name: 'late', on: [{ event: 'push' }], concurrency: null, priority: 5, retry: { maxAttempts: 1, firstDelayMs: 1, maxDelayMs: 1 }, run: async () => 1 };`,
    );
    return { WEBHOOK_SOURCES: sources, WORKFLOWS: workflows };
  }

  test(
    'asks today’s workflows through today’s filters, does nothing without --yes, and then does it',
    async () => {
      await send('octo/ranged');
      const filtered = await withSource({ filters: { except: { branch: ['main'] } } });
      const options = ['--repository', 'octo/ranged', '--json'];
      expect(JSON.parse((await cli([...options, '--yes'], filtered)).stdout)).toMatchObject({
        matched: 1,
        unwanted: 1,
        requested: 0,
      });
      const listed = await withSource({ repositories: ['octo/other'] });
      expect(JSON.parse((await cli([...options, '--yes'], listed)).stdout)).toMatchObject({
        unwanted: 1,
      });
      const open = await withSource({});
      const trial = await cli(options, open);
      expect(trial).toMatchObject({ code: 2 });
      expect(JSON.parse(trial.stdout)).toMatchObject({ requested: 1, dryRun: true });
      expect(trial.stderr).toContain('--yes');
      const done = await cli([...options, '--yes'], open);
      expect(JSON.parse(done.stdout)).toMatchObject({ requested: 1, dryRun: false });
      const again = await cli(['--repository', 'octo/ranged', '--yes'], open);
      expect(again.stdout).toContain('1 job(s) stay as they are');
    },
    PATIENCE_MS,
  );

  test(
    'wants to be told which deliveries',
    async () => {
      expect(await cli([])).toMatchObject({ code: 2, stderr: expect.stringContaining('--from') });
      expect(await cli(['--from', 'yesterday'])).toMatchObject({ code: 2 });
    },
    PATIENCE_MS,
  );
});

test('many ends with the page at hand when it is interrupted', async () => {
  const stop = new AbortController();
  const door: Door = {
    execute: () => {
      stop.abort();
      return Promise.resolve({ id: 'one', jobs: [], reason: null } satisfies Redelivery);
    },
  } as unknown as Door;
  async function* pages() {
    yield await Promise.resolve(['a', 'b']);
    yield ['c'];
  }
  const options = { read: () => Promise.reject(new Error('not asked')), at: new Date() };
  const seen: number[] = [];
  for await (const { matched } of redeliverMany(pages(), { door, options }, stop.signal)) {
    seen.push(matched);
  }
  expect(seen).toEqual([2]);
});
