import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { newId } from '../../src/platform/ids.ts';
import { Ledger } from '../projections/support.ts';
import { eventually } from '../support/eventually.ts';
import * as a from '../support/jobs.ts';
import { run } from '../support/program.ts';
import { type Service, startService } from '../support/service.ts';

const PATIENCE_MS = 120_000;
let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'jobledger-poison-'));
});
afterAll(async () => {
  await rm(cwd, { recursive: true, force: true });
});

const poison = (databaseUrl: string, ...args: string[]) =>
  run(['projections', 'poison', ...args], { env: { DATABASE_URL: databaseUrl }, cwd });

/** Postgres refuses steps of this name. */
const REFUSING = `alter table projections.job_steps_1 drop constraint if exists no_bad,
  add constraint no_bad check (name <> 'bad') not valid`;
const TAKING = `alter table projections.job_steps_1 drop constraint no_bad`;

const withIds = (...events: readonly object[]) =>
  events.map((event) => Object.assign(event, { id: newId() })) as never;

describe('an event that is set aside', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService({ env: { PROJECTIONS_ON_POISON: 'quarantine' }, workflows: [] });
  }, PATIENCE_MS);
  afterAll(async () => {
    await service.stop();
  });

  const execute = (text: string) => service.core.database.query({ text, values: [] });

  const stepsOf = async (id: string) =>
    (await execute(`select name from read.job_steps where job_id = '${id}' order by ordinal`)).map(
      ({ name }) => name as string,
    );

  type Shown = { name: string; status: string; poison: { position: string; state: string }[] };
  const shown = async () => {
    const { projections } = await service.query<{ projections: Shown[] }>(
      '{ projections { name status poison { position jobId type state error tries since } } }',
    );
    return projections.find(({ name }) => name === 'jobs');
  };

  /** A job whose second step is refused, and has another one behind it. */
  async function poisoned(): Promise<{ id: string; position: string }> {
    await execute(REFUSING);
    const id = newId();
    await service.core.store.append({
      streamId: id,
      expected: 0,
      events: withIds(
        a.requested(),
        a.started(),
        a.stepCompleted('one'),
        a.stepCompleted('bad'),
        a.stepCompleted('three'),
        a.completed(),
      ),
    });
    await eventually(
      async () => {
        expect((await shown())?.poison.at(-1)?.state).toBe('SET_ASIDE');
      },
      { timeoutMs: 60_000 },
    );
    const position = (await shown())?.poison.at(-1)?.position ?? '';
    return { id, position };
  }

  test(
    'is shown by the API and the command, and a retry takes it with all that waits behind it',
    async () => {
      const { id, position } = await poisoned();
      const event = {
        position,
        type: 'JobStepCompleted',
        state: 'SET_ASIDE',
        error: expect.stringContaining('no_bad') as string,
        tries: 1,
      };
      expect(await shown()).toMatchObject({ status: 'LIVE', poison: [{ ...event, jobId: id }] });
      const list = await poison(service.core.databaseUrl, 'list');
      expect(list.stdout).toContain(id);
      expect(list.stdout).toContain('SET_ASIDE');
      const json = await poison(service.core.databaseUrl, 'list', '--json');
      expect(JSON.parse(json.stdout)).toMatchObject([{ ...event, name: 'jobs', streamId: id }]);

      const again = await poison(service.core.databaseUrl, 'retry', 'jobs', position);
      expect(again.code).toBe(1);
      expect(again.stdout).toContain(`jobs waits at ${position} after 0 events`);
      expect(await shown()).toMatchObject({ poison: [{ position, tries: 2 }] });

      await execute(TAKING);
      const taken = await poison(service.core.databaseUrl, 'retry', 'jobs');
      expect(taken).toMatchObject({ code: 0, stderr: '' });
      expect(taken.stdout).toContain(`jobs has taken 3 events from ${position} on`);
      expect(await stepsOf(id)).toEqual(['one', 'bad', 'three']);
      expect(await shown()).toMatchObject({ poison: [] });
      expect((await poison(service.core.databaseUrl, 'list')).stderr).toContain('No poison');
    },
    PATIENCE_MS,
  );

  test(
    'is passed over by a skip, which stays in sight and cannot be undone by a retry',
    async () => {
      const { id, position } = await poisoned();
      const skipped = await poison(service.core.databaseUrl, 'skip', 'jobs', position);
      expect(skipped).toMatchObject({ code: 0, stderr: '' });
      expect(await stepsOf(id)).toEqual(['one', 'three']);
      expect(await shown()).toMatchObject({ poison: [{ position, state: 'SKIPPED' }] });
      const late = await poison(service.core.databaseUrl, 'retry', 'jobs', position);
      expect(late.code).toBe(1);
      expect(late.stderr).toContain('passed event');
      const none = await poison(service.core.databaseUrl, 'retry', 'jobs');
      expect(none.code).toBe(1);
      expect(none.stderr).toContain('jobs has no poison');
    },
    PATIENCE_MS,
  );

  test(
    'is named by a position',
    async () => {
      const wrong = await poison(service.core.databaseUrl, 'skip', 'jobs', 'x');
      expect(wrong.code).toBe(2);
      expect(wrong.stderr).toContain('x is no position');
      expect((await poison(service.core.databaseUrl, 'skip', 'jobs')).code).not.toBe(0);
      const missing = await poison(service.core.databaseUrl, 'skip', 'jobs', '999999');
      expect(missing.stderr).toContain('jobs has no poison at 999999');
    },
    PATIENCE_MS,
  );
});

describe('an event at which a projection stopped', () => {
  let ledger: Ledger;
  beforeAll(async () => {
    ledger = await Ledger.open();
  });
  afterAll(() => ledger.close());

  const statusOf = async () =>
    (await ledger.rows(`select status from read.projections where name = 'jobs'`))[0]?.['status'];

  test.each([
    ['retry', TAKING, ['bad', 'after']],
    ['skip', 'select', ['after']],
  ] as const)(
    'is left behind by a %s: the projection goes on',
    async (verb, first, steps) => {
      await ledger.rows(REFUSING);
      const id = newId();
      await ledger.append(id, a.requested(), a.started(), a.stepCompleted('bad'));
      const position = String((await ledger.append(id, a.stepCompleted('after'))) - 1n);
      const live = ledger.live({ poison: { tries: 1 } });
      while ((await statusOf()) !== 'FAILED') await live.round();
      expect((await poison(ledger.url, 'list')).stdout).toContain('STOPPED');

      await ledger.rows(first);
      const done = await poison(ledger.url, verb, 'jobs', position);
      expect(done).toMatchObject({ code: 0, stderr: '' });
      expect(done.stdout).toContain(`jobs goes on from ${position}`);
      await ledger.catchUp();
      const rows = await ledger.rows(
        `select name from read.job_steps where job_id = '${id}' order by ordinal`,
      );
      expect(rows.map(({ name }) => name)).toEqual(steps);
    },
    PATIENCE_MS,
  );
});
