import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { readCheckpoint } from '../../src/event-store/checkpoint.ts';
import { tail } from '../../src/event-store/tail.ts';
import type { Recorded } from '../../src/events/event.ts';
import { migrate } from '../../src/platform/migrate.ts';
import { type TestDatabase, createDatabase, emptyDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type PrivatePostgres, startPrivatePostgres } from '../support/private-servers.ts';
import { postgresPrograms } from '../support/programs.ts';
import { assertDense, command, event, events, ids, newStream, readEverything } from './builders.ts';
import { NAME, countingFollower, createCounts } from './counting-follower.ts';
import { type Participant, participant, silent } from './postgres-subject.ts';

describe('a Postgres that goes away and comes back', () => {
  let postgres: PrivatePostgres;
  let one: Participant;

  beforeAll(async () => {
    postgres = await startPrivatePostgres();
    await migrate(postgres.url);
    one = participant(postgres.url, { deadlineMs: 1_000 });
    await one.database.query(createCounts);
  });

  afterAll(async () => {
    await one.close();
    await postgres.close();
  });

  test('appends, the live tail, hints and the follower go on by themselves after a crash and a restart', async () => {
    const stop = new AbortController();
    const parts = { ...one, url: postgres.url, logger: silent };
    const following = countingFollower(parts, { leader: 'only' }).run(stop.signal);
    const seen: Recorded[] = [];
    const tailing = (async () => {
      for await (const page of tail({ ...one, after: 0n }, stop.signal)) seen.push(...page);
    })();
    const appended: string[] = [];
    const append = async (): Promise<void> => {
      const fact = event();
      const again = command(newStream(), 0, fact);
      await eventually(() => one.store.append(again), { timeoutMs: 15_000 });
      appended.push(fact.id);
    };

    await append();
    for (const fault of ['kill', 'stop', 'kill'] as const) {
      await postgres[fault]();
      await expect(one.store.append(command(newStream(), 0, event()))).rejects.toMatchObject({
        name: 'AppendUncertain',
      });
      await postgres.start();
      await append();
    }
    const head = await one.store.head();
    await eventually(async () => {
      expect(seen).toHaveLength(Number(head));
      expect(await readCheckpoint(one.database, NAME)).toBe(head);
    });
    stop.abort();
    await Promise.all([following, tailing]);
    assertDense(seen, 0n);
    expect(ids(seen)).toEqual(expect.arrayContaining(appended));
  }, 60_000);
});

describe('a dump of the log', () => {
  const pgDump = join(postgresPrograms(), 'pg_dump');
  let source: TestDatabase;
  let target: TestDatabase;

  beforeAll(async () => {
    source = await createDatabase();
    target = await emptyDatabase();
  });

  afterAll(async () => {
    await source.drop();
    await target.drop();
  });

  test.runIf(existsSync(pgDump))(
    '37 dump-restore-then-append-and-resume-checkpoints',
    async () => {
      const before = participant(source.url);
      await before.database.query(createCounts);
      const stream = newStream();
      await before.store.append(command(stream, 0, ...events(25)));
      await countingFollower(
        { ...before, url: source.url, logger: silent },
        { leader: 'before' },
      ).catchUp();
      await before.store.append(command(stream, 25, ...events(5)));
      const original = await readEverything(before.store);
      await before.close();

      const folder = mkdtempSync(join(tmpdir(), 'jobledger-dump-'));
      const file = join(folder, 'dump.sql');
      execFileSync(pgDump, ['--dbname', source.url, '--file', file]);
      execFileSync(join(postgresPrograms(), 'psql'), [
        '--quiet',
        '--set',
        'ON_ERROR_STOP=1',
        '--output',
        '/dev/null',
        '--dbname',
        target.url,
        '--file',
        file,
      ]);
      rmSync(folder, { recursive: true });

      const after = participant(target.url);
      try {
        expect(await readEverything(after.store)).toEqual(original);
        expect(await readCheckpoint(after.database, NAME)).toBe(25n);
        const appended = await after.store.append(command(stream, 30, event()));
        expect(appended).toMatchObject({ firstPosition: 31n, version: 31 });
        const parts = { ...after, url: target.url, logger: silent };
        await countingFollower(parts, { leader: 'after' }).catchUp();
        expect(await readCheckpoint(after.database, NAME)).toBe(31n);
        await expect(
          after.store.append(command(stream, 0, ...original.slice(0, 25))),
        ).resolves.toMatchObject({
          status: 'duplicate',
          firstPosition: 1n,
        });
      } finally {
        await after.close();
      }
    },
    30_000,
  );
});
