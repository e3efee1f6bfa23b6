import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { silenceOf } from '../../src/ingress/upkeep/silence.ts';
import { sourcesInLog } from '../../src/ingress/upkeep/sources-in-log.ts';
import { repositoriesOf } from '../../src/ingress/reconcile/repositories.ts';
import { Database, type Queryable, type Row } from '../../src/platform/database.ts';
import { type Statement, sql } from '../../src/platform/sql.ts';
import { findDelivery, listDeliveries, type DeliveryFilter } from '../../src/read/deliveries.ts';
import { redeliverable } from '../../src/read/redeliverable.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

const ROWS = 200_000;
const NOW = new Date('2026-11-20T12:00:00Z');
let server: TestDatabase;
let database: Database;

beforeAll(async () => {
  server = await createDatabase();
  database = new Database(server.url, {
    max: 2,
    applicationName: 'test',
    logger: pino({ level: 'silent' }),
  });
  // Four sources, 300 repositories, one event that is rare, every fiftieth not accepted; one every twelve seconds.
  await database.query(sql`
    insert into ingress.deliveries (id, received_at, source, provider, delivery_id, delivery_key, body_sha256,
      event, outcome, repository, triggers, jobs, headers, body)
    select gen_random_uuid(), ${NOW}::timestamptz - n * interval '12 seconds', 's' || n % 4, 'github', 'guid-' || n,
      'guid-' || n, decode(md5(n::text), 'hex'),
      case when n % 20000 = 0 then 'rare_event' when n % 3 = 0 then 'push' else 'pull_request' end,
      case when n % 50 = 0 then 'ignored' else 'accepted' end, 'acme/repo-' || n % 300,
      '[]', '[]', '{}', decode(repeat(md5(n::text), 8), 'hex')
    from generate_series(1, ${ROWS}::int) as n`);
  await database.query(sql`analyze ingress.deliveries`);
}, 240_000);
afterAll(async () => {
  await database.close();
  await server.drop();
});

/** Runs the statements that `work` asks for, and gives their plans. */
async function plansOf(work: (database: Queryable) => Promise<unknown>): Promise<string> {
  const plans: string[] = [];
  await work({
    query: async <R extends Row>(statement: Statement): Promise<readonly R[]> => {
      const lines = await database.query<{ 'QUERY PLAN': string }>({
        text: `explain ${statement.text}`,
        values: statement.values,
      });
      plans.push(lines.map((line) => line['QUERY PLAN']).join('\n'));
      return database.query<R>(statement);
    },
  });
  return plans.join('\n\n');
}

const DAY = 24 * 3_600_000;
const FILTERS: readonly (readonly [string, DeliveryFilter])[] = [
  ['nothing', {}],
  ['a source', { source: ['s1'] }],
  ['several sources', { source: ['s1', 's2'] }],
  ['a repository', { repository: 'acme/repo-7' }],
  ['a frequent event', { event: ['push'] }],
  ['a rare event', { event: ['rare_event'] }],
  ['what was not accepted', { outcome: ['IGNORED', 'UNMAPPABLE'] }],
  ['what was unmappable, of which there is none', { outcome: ['UNMAPPABLE'] }],
  ['a stretch of time', { receivedAfter: new Date(NOW.getTime() - DAY), receivedBefore: NOW }],
  [
    'a stretch of time of a repository',
    {
      repository: 'acme/repo-7',
      receivedAfter: new Date(NOW.getTime() - 9 * DAY),
    },
  ],
  ['a text in the name of a repository', { search: 'REPO-77' }],
  ['a text in the name of an event', { search: 'rare' }],
  ['an id', { search: 'guid-4711' }],
  ['a text that is nowhere', { search: 'nothing of the kind' }],
];

describe(`among ${String(ROWS)} deliveries`, () => {
  test.each(FILTERS)('%s is found by an index', async (_, filter) => {
    const plans = await plansOf((queryable) => listDeliveries(queryable, { filter, first: 20 }));
    expect(plans).not.toMatch(/Seq Scan on deliveries/);
    const redelivered = await plansOf((queryable) =>
      redeliverable(queryable, { filter, onlyFailed: false, size: 200, after: null }),
    );
    expect(redelivered).not.toMatch(/Seq Scan on deliveries/);
  });

  test('what the filters say is what is found', async () => {
    const found = async (filter: DeliveryFilter) =>
      (await listDeliveries(database, { filter, first: 100 })).nodes;
    expect((await found({ search: 'guid-4711' })).map((each) => each.deliveryId)).toEqual([
      'guid-4711',
    ]);
    expect(await found({ search: 'rare' })).toHaveLength(10);
    expect(await found({ search: 'nothing of the kind' })).toEqual([]);
    const named = await found({ search: 'REPO-77' });
    expect(named).toHaveLength(100);
    expect(named[0]?.deliveryId).toBe('guid-77');
  });

  test('one delivery is found by either of its ids by an index', async () => {
    const [row] = await database.query<{ id: string }>(sql`
      select id from ingress.deliveries where delivery_id = 'guid-5'`);
    for (const id of [row?.id ?? '', 'guid-5']) {
      expect(await findDelivery(database, id)).toMatchObject({ deliveryId: 'guid-5' });
      expect(await plansOf((queryable) => findDelivery(queryable, id))).not.toMatch(/Seq Scan/);
    }
  });

  test('what looks after the log reads indexes too', async () => {
    const source = {
      name: 's1',
      provider: 'github',
      secrets: [],
      repositories: null,
      maxPerMinute: null,
      allowedIps: null,
    } as const;
    const plans = await plansOf(async (queryable) => {
      await silenceOf(queryable, 's1', NOW);
      await sourcesInLog(queryable);
      const about = { apiUrl: 'https://git.example/api', now: NOW };
      expect(await repositoriesOf(queryable, source, about)).toHaveLength(75);
    });
    expect(plans).not.toMatch(/Seq Scan on deliveries/);
  });
});
