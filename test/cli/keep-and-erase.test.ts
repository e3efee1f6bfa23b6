import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { sql } from '../../src/platform/sql.ts';
import { defineWorkflow } from '../../src/sdk/index.ts';
import { EventStoreDbServer } from '../support/event-store-db.ts';
import { eventually } from '../support/eventually.ts';
import { run } from '../support/program.ts';
import { SECRET, type Service, startService } from '../support/service.ts';
import { deliver, push } from '../support/webhooks.ts';

const PATIENCE_MS = 120_000;
const MAIL = 'jane@example.com';
const PRIVACY_KEY = 'a key of the tests that is long enough';

let server: EventStoreDbServer;
let service: Service;
let cwd: string;
let id: string;

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'jobledger-cli-'));
  server = new EventStoreDbServer();
  await server.start();
  service = await startService({
    workflows: [
      defineWorkflow({ name: 'done', on: [{ event: 'push' }], run: () => Promise.resolve(1) }),
    ],
    env: { PRIVACY_KEY, EVENTSTOREDB_URL: server.url },
  });
  const given = push('octo/cli', { sender: { login: 'jane' }, pusher: { email: MAIL } });
  const response = await deliver(service.ingress, given, { secret: SECRET });
  id = ((await response.json()) as { jobs: { id: string }[] }).jobs[0]?.id ?? '';
  await eventually(finished, { timeoutMs: 60_000 });
}, PATIENCE_MS);
afterAll(async () => {
  await service.stop();
  server.stop();
  await rm(cwd, { recursive: true, force: true });
});

async function finished(): Promise<void> {
  expect(await service.core.store.readStream(id)).toHaveLength(3);
}

const cli = (...args: string[]): ReturnType<typeof run> =>
  run(args, { env: { DATABASE_URL: service.core.databaseUrl, PRIVACY_KEY }, cwd });

test(
  'jobs are archived, counted and exported, and shown as before',
  async () => {
    const before = await cli('events', 'show', id);
    expect((await cli('archive', 'run')).stderr).toContain('JOB_KEEP_DAYS');
    expect((await cli('archive', 'run', '--older-than', '0')).stdout).toBe(
      'Archived 1 job(s), 2 event(s).\n',
    );
    expect((await cli('archive', 'status')).stdout).toMatch(/^1 job\(s\), 2 event\(s\)/);
    const exported = await cli('archive', 'export', 'all.ndjson.gz', '--json');
    expect(JSON.parse(exported.stdout)).toMatchObject({ jobs: 1, events: 3 });
    expect((await cli('events', 'show', id)).stdout).toBe(before.stdout);
    expect((await cli('events', 'verify')).stdout).toContain('The log is whole.');
  },
  PATIENCE_MS,
);

test(
  'the mirror says where it is, and begins again',
  async () => {
    await eventually(() => {
      expect(server.streams.get(`job-${id}`)).toHaveLength(3);
    });
    server.streams.clear();
    expect((await cli('mirror', 'restart')).stdout).toBe(
      'The mirror begins at position 1 again.\n',
    );
    await eventually(
      async () => {
        expect(server.streams.get(`job-${id}`)).toHaveLength(3);
        expect((await cli('mirror', 'status')).stdout).toContain('0 event(s) behind');
      },
      { timeoutMs: 60_000 },
    );
  },
  PATIENCE_MS,
);

test(
  'doctor says how far the mirror is, and that names are sealed',
  async () => {
    const { stdout } = await run(['doctor', '--json'], {
      env: { DATABASE_URL: service.core.databaseUrl, EVENTSTOREDB_URL: server.url },
      cwd,
    });
    expect(JSON.parse(stdout)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'mirror', result: 'ok' }),
        expect.objectContaining({ name: 'privacy', result: 'fail' }),
      ]),
    );
  },
  PATIENCE_MS,
);

test(
  'a person is shown, and erased only with --yes; what is exported never has the name',
  async () => {
    expect((await cli('jobs', 'show', id, '--json')).stdout).toContain('"jane"');
    expect((await cli('events', 'export')).stdout).not.toContain('"jane"');
    const shown = await cli('privacy', 'show', 'jane', MAIL);
    expect(shown.stdout).toContain('1 event(s) with a sealed name, 1 key(s)');
    const asked = await cli('privacy', 'forget', 'jane', MAIL);
    expect([asked.code, asked.stderr]).toEqual([1, expect.stringContaining('--yes')]);
    const [kept] = await service.core.database.query(sql`select body from ingress.deliveries`);
    expect(kept?.['body']).not.toBeNull();

    const done = await cli('privacy', 'forget', 'jane', MAIL, '--yes');
    expect([done.code, done.stdout]).toEqual([0, expect.stringContaining('Erased.')]);
    expect((await cli('privacy', 'show', 'jane', MAIL, '--json')).stdout).toContain(
      '"deliveries": 0',
    );
    expect((await cli('jobs', 'show', id, '--json')).stdout).not.toContain('jane');
    const [row] = await service.core.database.query(sql`select body from ingress.deliveries`);
    expect(row?.['body']).toBeNull();
  },
  PATIENCE_MS,
);
