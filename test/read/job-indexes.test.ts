import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Database, type Queryable } from '../../src/platform/database.ts';
import type { Statement } from '../../src/platform/sql.ts';
import type { JobFilter } from '../../src/read/job-filter.ts';
import { type JobOrder, countJobs, listJobs } from '../../src/read/job-list.ts';
import { silent } from '../projections/support.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { showManyJobs } from './many-jobs.ts';

/** `npm run bench -- api` asks the same of a million. */
const JOBS = 200_000;

let given: TestDatabase;
let database: Database;
beforeAll(async () => {
  given = await createDatabase();
  database = new Database(given.url, { max: 2, applicationName: 'test', logger: silent });
  await showManyJobs(database, JOBS);
}, 300_000);
afterAll(async () => {
  await database.close();
  await given.drop();
});

type Plan = Readonly<{
  'Node Type': string;
  'Relation Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  Plans?: readonly Plan[];
}>;

/** The plan of what `read` asks the database for. */
async function planOf(read: (database: Queryable) => Promise<unknown>): Promise<Plan> {
  const asked: Statement[] = [];
  await read({
    query: (statement) => {
      asked.push(statement);
      return Promise.resolve([]);
    },
  });
  const [{ text, values } = { text: '', values: [] }] = asked;
  const [row] = await database.query<{ 'QUERY PLAN': readonly [{ Plan: Plan }] }>({
    text: `explain (analyze, timing off, format json) ${text}`,
    values,
  });
  if (!row) throw new Error('no plan');
  return row['QUERY PLAN'][0].Plan;
}

const nodes = (plan: Plan): readonly Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];

/** How many rows of jobs were looked at. */
const looks = (plan: Plan): number =>
  nodes(plan)
    .filter((node) => node['Relation Name']?.startsWith('jobs') === true)
    .reduce(
      (sum, node) =>
        sum +
        node['Actual Loops'] *
          (node['Actual Rows'] +
            (node['Rows Removed by Filter'] ?? 0) +
            (node['Rows Removed by Index Recheck'] ?? 0)),
      0,
    );

const FILTERS: Readonly<Record<string, JobFilter>> = {
  none: {},
  'a common status': { status: ['COMPLETED'] },
  'a rare status': { status: ['RUNNING'] },
  'several statuses': { status: ['FAILED', 'CANCELLED'] },
  'a workflow': { workflow: ['workflow-7'] },
  'the most used workflow': { workflow: ['code-review'] },
  'a workflow that is not there': { workflow: ['nothing'] },
  'a provider': { provider: ['GITHUB'] },
  'a rare provider': { provider: ['AZURE_REPOS'] },
  'a provider that is not there': { provider: ['GITEA'] },
  'a repository': { repository: ['octo/repo-1500'] },
  'a repository that is much used': { repository: ['octo/repo-0'] },
  'several repositories': { repository: ['octo/repo-7', 'octo/repo-8'] },
  'a pull request': { pullRequest: 7 },
  'a pull request of a repository': { repository: ['octo/repo-3'], pullRequest: 7 },
  'a ref': { ref: 'feature/77' },
  'a sha': { headSha: 'nothing' },
  'a sender': { sender: 'octocat-77' },
  'a time': { requestedAfter: new Date('2026-11-19T20:00:00Z') },
  'a long time ago': { requestedBefore: new Date('2026-01-01T00:00:00Z') },
  'a rare word': { search: '77777' },
  'a word in every job': { search: 'faster' },
  'several words': { search: 'octo/repo-77 exit' },
  'a word that is not there': { search: 'zebra' },
  'the beginning of an id': { search: 'c4ca4238-a0b9' },
  'a failed one with a word': { status: ['FAILED'], search: 'octocat 77' },
  'a rare status in a repository': { status: ['RUNNING'], repository: ['octo/repo-0'] },
};

const ORDERS: readonly JobOrder[] = [
  'REQUESTED_AT_DESC',
  'REQUESTED_AT_ASC',
  'UPDATED_AT_DESC',
  'DURATION_DESC',
];

describe.each(Object.entries(FILTERS))('with the filter %s', (_, filter) => {
  test.each(ORDERS)('a page in the order %s is read by an index', async (orderBy) => {
    const plan = await planOf((asked) => listJobs(asked, { filter, orderBy, first: 20 }));
    expect(nodes(plan).map((node) => node['Node Type'])).not.toContain('Seq Scan');
    expect(looks(plan)).toBeLessThan(JOBS / 8);
  });

  test('the count stops at its cap', async () => {
    const plan = await planOf((asked) => countJobs(asked, filter));
    expect(looks(plan)).toBeLessThan(JOBS / 2);
  });
});
