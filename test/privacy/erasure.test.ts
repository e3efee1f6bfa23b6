import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Archiver } from '../../src/archive/archiver.ts';
import { exportArchive } from '../../src/archive/export.ts';
import { openEventStoreDb } from '../../src/mirror/event-store-db.ts';
import { Mirror } from '../../src/mirror/mirror.ts';
import { type Held, forget, held } from '../../src/privacy/forget.ts';
import { rebuild } from '../../src/projections/rebuild.ts';
import { sql } from '../../src/platform/sql.ts';
import { defineWorkflow } from '../../src/sdk/index.ts';
import { EventStoreDbServer } from '../support/event-store-db.ts';
import { eventually } from '../support/eventually.ts';
import { SECRET, type Service, startService } from '../support/service.ts';
import { deliver, push } from '../support/webhooks.ts';

const LOGIN = 'jane-roe';
const MAIL = 'jane.roe@example.com';
const NAME = 'Jane Röe';
const NAMES = [LOGIN, MAIL, NAME];
const SOON = { timeoutMs: 60_000 };
const inOrder = (texts: readonly unknown[]): readonly string[] =>
  texts.map(String).toSorted((a, b) => a.localeCompare(b));

describe('a person who is erased', () => {
  let service: Service;
  let server: EventStoreDbServer;
  const seenByWorkflow: unknown[] = [];
  const jobs = new Map<string, string>();
  let before: Held;

  beforeAll(async () => {
    const workflow = defineWorkflow({
      name: 'greet',
      on: [{ event: 'push' }],
      run: ({ job }) => {
        seenByWorkflow.push(job.trigger.sender);
        return Promise.resolve('done');
      },
    });
    server = new EventStoreDbServer();
    await server.start();
    service = await startService({
      env: { PRIVACY_KEY: 'a key of the tests that is long enough', EVENTSTOREDB_URL: server.url },
      workflows: [workflow],
    });
    for (const login of [LOGIN, 'somebody-else', LOGIN]) await pushBy(login);
    await allDone(3);
  });
  afterAll(async () => {
    await service.stop();
    server.stop();
  });

  async function pushBy(login: string): Promise<void> {
    const person = { name: NAME, email: MAIL };
    const known = login === LOGIN ? { pusher: person, note: `by ${NAME}` } : {};
    const given = push('octo/repo', {
      sender: { login },
      ref: `refs/heads/${randomUUID()}`,
      ...known,
    });
    const response = await deliver(service.ingress, given, { secret: SECRET });
    expect(response.status).toBe(202);
    const { jobs: requested } = (await response.json()) as { jobs: { id: string }[] };
    jobs.set(requested[0]?.id ?? '', login);
  }

  const allDone = (count: number): Promise<void> =>
    eventually(async () => {
      const { jobs: found } = await service.query<{ jobs: { totalCount: number } }>(
        `{ jobs(filter: { status: [COMPLETED] }) { totalCount } }`,
      );
      expect(found.totalCount).toBe(count);
    }, SOON);

  /** Everything that the database holds, as text; bytes as the text that they are. */
  async function dump(): Promise<string> {
    const { database } = service.core;
    const tables = await database.query<{ name: string }>(sql`
      select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname not in ('pg_catalog', 'information_schema')`);
    expect(tables.length).toBeGreaterThan(10);
    const texts: string[] = [];
    for (const { name } of tables) {
      const rows = await database.query({ text: `select * from ${name}`, values: [] });
      for (const row of rows) texts.push(...Object.values(row).map(asText));
    }
    return texts.join('\n');
  }

  const asText = (value: unknown): string =>
    Buffer.isBuffer(value) ? value.toString('utf8') : JSON.stringify(value, bigints);
  const bigints = (_: string, value: unknown): unknown =>
    typeof value === 'bigint' ? String(value) : value;

  const mirrored = (): string => [...server.streams.values()].map(asText).join('\n');

  function expectNothing(text: string): void {
    for (const name of NAMES) {
      expect(text.toLowerCase()).not.toContain(name.toLowerCase());
      expect(text.toLowerCase()).not.toContain(JSON.stringify(name).slice(1, -1).toLowerCase());
    }
  }

  const senders = async (filter = ''): Promise<readonly (string | null)[]> => {
    const { jobs: found } = await service.query<{
      jobs: { nodes: { trigger: { sender: string | null } }[] };
    }>(`{ jobs(first: 10 ${filter}) { nodes { trigger { sender } } } }`);
    return found.nodes.map(({ trigger }) => trigger.sender);
  };
  const senderOf = async (jobId: string): Promise<string | null | undefined> => {
    const { job } = await service.query<{ job: { trigger: { sender: string | null } } | null }>(
      `query ($id: ID!) { job(id: $id) { trigger { sender } } }`,
      { id: jobId },
    );
    return job?.trigger.sender;
  };

  test('before that: the workflow, the lists and the filters have the name, and events and read models have it sealed', async () => {
    expect(inOrder(seenByWorkflow)).toEqual([LOGIN, LOGIN, 'somebody-else']);
    expect(inOrder(await senders())).toEqual([LOGIN, LOGIN, 'somebody-else']);
    expect(await senders(`filter: { sender: "${LOGIN}" }`)).toEqual([LOGIN, LOGIN]);
    for (const [jobId, login] of jobs) expect(await senderOf(jobId)).toBe(login);
    const { database, log } = service.core;
    const events = JSON.stringify(await log.readAll({ after: 0n, limit: 1_000 }), bigints);
    expectNothing(events);
    expect(events).toContain('sealed:');
    expectNothing(asText(await database.query(sql`select * from read.jobs`)));
    // Whoever sends has a body with the names in it: that is what is to go.
    expect(await dump()).toContain(MAIL);
    const vault = service.core.privacy.vault;
    expect(await held({ database, vault }, NAMES)).toMatchObject({
      subjects: 1,
      sealedEvents: 2,
      deliveries: 2,
      plainEvents: 0,
    });
  });

  test('55 no table, read model, mirror or export has login, mail or name any more, and nobody else has lost theirs', async () => {
    const { database, databaseUrl, store, privacy, logger } = service.core;
    const { vault } = privacy;
    before = await forget(
      { database, vault, store },
      { names: NAMES, actor: 'cli', at: new Date() },
    );
    expect(before).toMatchObject({ subjects: 1, deliveries: 2, plainEvents: 0 });

    expectNothing(await dump());
    await rebuild({ database, store: service.core.log, names: [], logger });
    expectNothing(await dump());

    const folder = mkdtempSync(join(tmpdir(), 'jobledger-erasure-'));
    try {
      const clock = (): Date => new Date(Date.now() + 86_400_000 * 31);
      await new Archiver({ database, databaseUrl, keepDays: 30, logger, clock }).runOnce(
        new AbortController().signal,
      );
      const path = join(folder, 'archive.ndjson.gz');
      expect(await exportArchive(database, path)).toMatchObject({ jobs: 3 });
      expectNothing(gunzipSync(readFileSync(path)).toString('utf8'));
      expectNothing(await dump());
    } finally {
      rmSync(folder, { recursive: true });
    }

    const mirror = new Mirror({
      ...service.core,
      store: service.core.log,
      open: () => openEventStoreDb(server.url),
    });
    await eventually(async () => {
      expect(await mirror.lag()).toBe(0n);
    }, SOON);
    expect(mirrored()).toContain('sealed:');
    expectNothing(mirrored());

    expect(inOrder(await senders())).toEqual(['null', 'null', 'somebody-else']);
    expect(await senders(`filter: { sender: "${LOGIN}" }`)).toEqual([]);
    for (const [jobId, login] of jobs) {
      expect(await senderOf(jobId)).toBe(login === LOGIN ? null : login);
    }
  });

  test('what came before is still known when it comes again, and the log says that somebody was erased', async () => {
    const { database, log } = service.core;
    const [{ count } = { count: 0 }] = await database.query<{ count: number }>(
      sql`select count(*)::int as count from ingress.deliveries where body is null`,
    );
    expect(count).toBe(2);
    const events = await log.readAll({ after: 0n, limit: 1_000, types: ['SubjectForgotten'] });
    expect(events).toHaveLength(1);
    expect(events[0]?.data).toEqual({ subject: expect.any(String) as string, deliveries: 2 });
  });

  test('what comes later is sealed with another key', async () => {
    await pushBy(LOGIN);
    await allDone(4);
    expect((await senders()).filter((sender) => sender === LOGIN)).toHaveLength(1);
  });
});
