import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { JobView } from '../../src/events/job-view.ts';
import { defineWorkflow } from '../../src/sdk/index.ts';
import { type JobFilter, jobMatcher } from '../../src/read/job-filter.ts';
import { foldJob } from '../../src/read/job-history.ts';
import { SECRET, type Service, startService } from '../support/service.ts';
import { deliver, push } from '../support/webhooks.ts';

const done = defineWorkflow({ name: 'done', run: async ({ step }) => step('one', () => 1) });
const waits = defineWorkflow({
  name: 'waits',
  run: async ({ waitForEvent }) => waitForEvent('go'),
});

let service: Service;
const ids: string[] = [];

beforeAll(async () => {
  service = await startService({ workflows: [done, waits] });
  for (let n = 0; n < 25; n++)
    await request(n % 5 === 0 ? 'waits' : 'done', {
      repository: `o/r${String(n % 3)}`,
      pullRequest: n,
    });
  await settled();
});
afterAll(async () => {
  await service.stop();
});

type Payload = {
  job: { id: string; status: string; version: number } | null;
  position: string;
  errors: { code: string; field: string[] | null }[];
};

async function request(workflow: string, input: object = {}): Promise<Payload> {
  const { requestJob } = await service.query<{ requestJob: Payload }>(
    'mutation ($input: RequestJobInput!) { requestJob(input: $input) { job { id status version } position errors { code field } } }',
    { input: { workflow, repository: 'o/r', ...input } },
  );
  if (requestJob.job) ids.push(requestJob.job.id);
  return requestJob;
}

type Page = {
  jobs: {
    totalCount: number;
    nodes: { id: string; status: string; workflow: string }[];
    pageInfo: {
      endCursor: string;
      startCursor: string;
      hasNextPage: boolean;
      hasPreviousPage: boolean;
    };
  };
};
const jobs = async (args: string, variables: object = {}) =>
  (
    await service.query<Page>(
      `query ${args.includes('$filter') ? '($filter: JobFilter)' : ''} { jobs${args} { totalCount nodes { id status workflow } pageInfo { endCursor startCursor hasNextPage hasPreviousPage } } }`,
      variables,
    )
  ).jobs;

/** All jobs have completed or wait. */
async function settled(): Promise<void> {
  for (;;) {
    const { totalCount } = await jobs('(filter: { status: [COMPLETED, PAUSED] })');
    if (totalCount === ids.length) return;
  }
}

describe('jobs', () => {
  test.each(['REQUESTED_AT_DESC', 'REQUESTED_AT_ASC', 'UPDATED_AT_DESC', 'DURATION_DESC'])(
    'pages by %s give every job once, forwards and backwards',
    async (orderBy) => {
      const forwards: string[] = [];
      let page = await jobs(`(orderBy: ${orderBy}, first: 7)`);
      for (;;) {
        forwards.push(...page.nodes.map(({ id }) => id));
        if (!page.pageInfo.hasNextPage) break;
        page = await jobs(`(orderBy: ${orderBy}, first: 7, after: "${page.pageInfo.endCursor}")`);
      }
      expect(new Set(forwards)).toEqual(new Set(ids));
      expect(forwards).toHaveLength(ids.length);
      const backwards: string[] = page.nodes.map(({ id }) => id);
      while (page.pageInfo.hasPreviousPage) {
        page = await jobs(`(orderBy: ${orderBy}, last: 7, before: "${page.pageInfo.startCursor}")`);
        backwards.unshift(...page.nodes.map(({ id }) => id));
      }
      expect(backwards).toEqual(forwards);
    },
  );

  test('a cursor of another order is refused', async () => {
    const { pageInfo } = await jobs('(first: 1)');
    await expect(
      jobs(`(orderBy: UPDATED_AT_DESC, after: "${pageInfo.endCursor}")`),
    ).rejects.toThrow('BAD_USER_INPUT');
  });

  const FILTERS: readonly JobFilter[] = [
    {},
    { status: ['COMPLETED'] },
    { status: [] },
    { workflow: ['waits'] },
    { repository: ['o/r1', 'o/r2'] },
    { provider: ['MANUAL'] },
    { provider: ['GITHUB', 'BITBUCKET_CLOUD'] },
    { pullRequest: 7 },
    { sender: 'local' },
    { sender: 'nobody' },
    { ref: 'main' },
    { search: 'O/R1' },
    { search: 'o/r1 local' },
    { search: '100% _' },
    { requestedAfter: new Date('2020-01-01T00:00:00Z') },
    { requestedBefore: new Date('2020-01-01T00:00:00Z') },
  ];

  test.each(FILTERS)(
    'what the list finds for %j is what a subscription lets through',
    async (filter) => {
      const views = await Promise.all(ids.map((id) => foldJob(service.core.store, id)));
      const expected = views.filter(
        (view): view is JobView => view !== null && jobMatcher(filter)(view),
      );
      const found = await jobs('(first: 100, filter: $filter)', { filter });
      expect(new Set(found.nodes.map(({ id }) => id))).toEqual(
        new Set(expected.map(({ id }) => id)),
      );
      expect(found.totalCount).toBe(expected.length);
    },
  );

  test('a search finds an id by its beginning', async () => {
    const [id = ''] = ids;
    const { nodes } = await jobs('(filter: $filter)', { filter: { search: id.slice(0, 30) } });
    expect(nodes.map((node) => node.id)).toContain(id);
  });
});

describe('a mutation', () => {
  const act = async (text: string) =>
    Object.values(
      await service.query<Record<string, Payload>>(
        `mutation { ${text} { job { id status version } position errors { code field } } }`,
      ),
    )[0]!;

  test('shows its own write: in its answer, and in lists from its position on', async () => {
    const { job, position } = await request('waits');
    const cancelled = await act(`cancelJob(id: "${job!.id}", reason: "r")`);
    expect(cancelled).toMatchObject({ job: { status: 'CANCELLED' }, errors: [] });
    expect(Number(cancelled.position)).toBeGreaterThan(Number(position));
    const { nodes } = await jobs(`(first: 1, minPosition: "${cancelled.position}")`);
    expect(nodes[0]).toMatchObject({ id: job!.id, status: 'CANCELLED' });
    const retried = await act(`retryJob(id: "${job!.id}")`);
    expect(retried.errors).toEqual([]);
    await settled();
  });

  test('whose position the list has not seen within two seconds is said to be unseen', async () => {
    await expect(jobs('(minPosition: "999999")')).rejects.toThrow('STALE_READ');
  });

  test('that the rules refuse says so as data', async () => {
    const finished = (await jobs('(filter: { status: [COMPLETED] }, first: 1)')).nodes[0]!.id;
    expect(await act(`cancelJob(id: "${finished}")`)).toMatchObject({
      job: { status: 'COMPLETED' },
      errors: [{ code: 'JOB_FINISHED' }],
    });
    expect(await act('cancelJob(id: "nothing")')).toMatchObject({
      job: null,
      errors: [{ code: 'JOB_NOT_FOUND', field: ['id'] }],
    });
    expect(await act(`cancelJob(id: "${finished}", expectedVersion: 1)`)).toMatchObject({
      errors: [{ code: 'VERSION_CONFLICT' }],
    });
    expect(await act(`resumeJob(id: "${finished}")`)).toMatchObject({
      errors: [{ code: 'JOB_FINISHED' }],
    });
    expect(await act(`retryJob(id: "${finished}", fromStep: "two")`)).toMatchObject({
      errors: [{ code: 'STEP_NOT_FOUND' }],
    });
    expect((await request('unknown')).errors).toMatchObject([{ code: 'WORKFLOW_NOT_FOUND' }]);
    expect((await request('done', { priority: 10 })).errors).toMatchObject([{ code: 'INVALID' }]);
  });

  test('with an idempotency key is one job', async () => {
    const first = await request('waits', { idempotencyKey: 'k' });
    ids.pop();
    const second = await request('waits', { idempotencyKey: 'k' });
    expect(second.job?.id).toBe(first.job?.id);
  });

  test('in bulk tells before it acts, and acts on what the filter lets through', async () => {
    const bulk = (dryRun: boolean) =>
      service.query<{ cancelJobs: { matched: number; changed: number } }>(
        'mutation ($dry: Boolean!) { cancelJobs(filter: { workflow: ["waits"], repository: ["o/r0"] }, dryRun: $dry) { matched changed errors { code } } }',
        { dry: dryRun },
      );
    const { cancelJobs: plan } = await bulk(true);
    expect(plan.matched).toBeGreaterThan(0);
    expect(plan.changed).toBe(0);
    expect((await bulk(false)).cancelJobs).toMatchObject({
      matched: plan.matched,
      changed: plan.matched,
    });
  });
});

test('a delivery is shown as it came, with its jobs, and redelivering it makes no second one', async () => {
  const payload = push('octo/delivered');
  const response = await deliver(service.ingress, payload, { secret: SECRET, id: 'guid-1' });
  const answer = (await response.json()) as { jobs: { id: string }[] };
  ids.push(...answer.jobs.map(({ id }) => id));
  const { deliveries } = await service.query<{
    deliveries: { totalCount: number; nodes: Record<string, unknown>[] };
  }>(
    '{ deliveries(filter: { search: "octo/delivered" }) { totalCount nodes { id deliveryId provider event outcome body headers triggers { ref sender } jobs { id } } } }',
  );
  expect(deliveries.nodes).toMatchObject([
    {
      deliveryId: 'guid-1',
      provider: 'GITHUB',
      event: 'push',
      outcome: 'ACCEPTED',
      body: JSON.stringify(payload),
      triggers: [{ ref: 'main', sender: 'octocat' }],
    },
  ]);
  expect(JSON.stringify(deliveries.nodes[0]!['headers'])).not.toContain('sha256=');
  const { redeliver } = await service.query<{
    redeliver: { jobs: { id: string }[]; errors: unknown[] };
  }>(
    'mutation { redeliver(deliveryId: "guid-1") { jobs { id } delivery { id } errors { code } } }',
  );
  expect(new Set(redeliver.jobs.map(({ id }) => id))).toEqual(
    new Set(answer.jobs.map(({ id }) => id)),
  );
});

test('job(at:) is the job as it was', async () => {
  const [id = ''] = ids;
  const events = await service.core.store.readStream(id);
  for (const { position, version } of events) {
    const { job } = await service.query<{ job: { version: number } }>(
      `{ job(id: "${id}", at: "${String(position)}") { version } }`,
    );
    expect(job.version).toBe(version);
  }
  const before = await service.query(
    `{ job(id: "${id}", at: "${String((events[0]?.position ?? 1n) - 1n)}") { id } }`,
  );
  expect(before).toEqual({ job: null });
});

test('node finds a job, a delivery and an event by their ids', async () => {
  const [id = ''] = ids;
  const { events, deliveries } = await service.query<{
    events: { nodes: { id: string }[] };
    deliveries: { nodes: { id: string }[] };
  }>('{ events(first: 1) { nodes { id } } deliveries(first: 1) { nodes { id } } }');
  const typeOf = async (nodeId: string) =>
    (
      await service.query<{ node: { kind: string } | null }>(
        `{ node(id: "${nodeId}") { kind: __typename } }`,
      )
    ).node?.kind ?? null;
  expect(await typeOf(id)).toBe('Job');
  expect(await typeOf(events.nodes[0]!.id)).toBe('JobEvent');
  expect(await typeOf(deliveries.nodes[0]!.id)).toBe('Delivery');
  expect(await typeOf('nothing')).toBeNull();
});

test('statistics count what is there', async () => {
  const { jobStats } = await service.query<{
    jobStats: {
      total: number;
      byStatus: { count: number }[];
      series: { requested: number }[];
      run: { p50: number };
    };
  }>(
    '{ jobStats(filter: { workflow: ["done"] }, buckets: 10) { total byStatus { status count } series { requested } run { p50 } } }',
  );
  const { totalCount } = await jobs('(filter: { workflow: ["done"] })');
  expect(jobStats.total).toBe(totalCount);
  expect(jobStats.series.reduce((sum, { requested }) => sum + requested, 0)).toBe(totalCount);
  expect(jobStats.series).toHaveLength(10);
  expect(jobStats.run.p50).toBeGreaterThan(0);
});
