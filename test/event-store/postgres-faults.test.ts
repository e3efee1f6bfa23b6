import { setTimeout as sleep } from 'node:timers/promises';

import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { AppendUncertain } from '../../src/event-store/event-store.ts';
import { tail } from '../../src/event-store/tail.ts';
import type { Recorded } from '../../src/events/event.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import {
  assertDense,
  command,
  event,
  events,
  ids,
  newStream,
  positions,
  range,
  readEverything,
  versions,
} from './builders.ts';
import { CuttingProxy, type Fault } from './cutting-proxy.ts';
import { type Participant, participant } from './postgres-subject.ts';
import { rounds } from './seeded.ts';

const RAW_APPEND = `select status from log.append(
  array[$1], array[$2::int], '{1}', '{1}', array[gen_random_uuid()], '{Raw}', '{1}', array[now()],
  array['{}'::json], array['{}'::json])`;

describe('the log in Postgres, when things go wrong', () => {
  let database: TestDatabase;
  let one: Participant;
  let two: Participant;
  let raw: Client;
  let blocker: Client;

  const connect = async (): Promise<Client> => {
    const client = new Client(database.url);
    client.on('error', () => {});
    await client.connect();
    return client;
  };

  beforeAll(async () => {
    database = await createDatabase();
    one = participant(database.url);
    two = participant(database.url);
    raw = await connect();
    blocker = await connect();
  });

  afterAll(async () => {
    await one.close();
    await two.close();
    await raw.end();
    await blocker.end();
    await database.drop();
  });

  test('6 empty-append-is-noop (no NULLs, no lock)', async () => {
    await blocker.query('begin');
    await blocker.query('select log.take_turn()');
    try {
      const answer = await one.store.append(command(newStream(), 0));
      expect(answer).toMatchObject({ status: 'duplicate', version: 0 });
    } finally {
      await blocker.query('rollback');
    }
  });

  test('9 multi-command-one-conflict-others-succeed: in one call', async () => {
    const [free, taken] = [newStream(), newStream()];
    await one.store.append(command(taken, 0, event()));
    const head = await one.store.head();
    const { rows } = await raw.query(
      `select * from log.append($1, '{0,0,1}', '{1,1,2,3}', '{1,2,1,1}',
         array[gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid()],
         '{A,B,C,D}', '{1,1,1,1}', array[now(), now(), now(), now()],
         array['{}', '{}', '{}', '{}']::json[], array['{}', '{}', '{}', '{}']::json[])`,
      [[free, taken, `${taken}x`]],
    );
    expect(rows).toEqual([
      { command: 1, status: 'appended', first_position: String(head + 1n), last_version: 2 },
      { command: 2, status: 'conflict', first_position: null, last_version: 1 },
      { command: 3, status: 'conflict', first_position: null, last_version: 0 },
    ]);
  });

  test('20 C rollback-and-conflict-leave-no-position-hole', async () => {
    await rounds('20', async (random) => {
      const head = await one.store.head();
      const appends = range(1, random.int(1, 10)).map(async () => {
        await sleep(random.int(0, 3));
        return random.pick([one, two]).store.append(command(newStream(), 0, ...events(2)));
      });
      await raw.query('begin');
      await raw.query(RAW_APPEND, [newStream(), 0]);
      await raw.query(random.pick(['rollback', 'commit']));
      await Promise.all(appends);
      const stored = await readEverything(one.store, head);
      expect(stored.length).toBeGreaterThanOrEqual(2 * appends.length);
      assertDense(stored, head);
    });
  });

  test('21 C connection-killed-after-send: outcome unknown → retry gives appended xor duplicate', async () => {
    const proxy = await CuttingProxy.before(database.url);
    const cut = participant(database.url, { databaseUrl: proxy.url, deadlineMs: 10_000 });
    const seen = { appended: 0, duplicate: 0 };
    try {
      await rounds('21', async (random) => {
        const head = await one.store.head();
        const commands = range(1, random.int(1, 20)).map(() =>
          command(newStream(), random.pick([0, 'any'] as const), ...events(random.int(1, 3))),
        );
        proxy.arm(random.pick<Fault>(['before', 'answer', 'at-once']));
        const answers = await Promise.all(commands.map((append) => cut.store.append(append)));
        for (const { status } of answers) seen[status as keyof typeof seen]++;
        const stored = await readEverything(one.store, head);
        assertDense(stored, head);
        expect(ids(stored).toSorted()).toEqual(
          ids(commands.flatMap((append) => append.events)).toSorted(),
        );
        for (const [index, append] of commands.entries()) {
          const again = await two.store.append(append);
          expect(again).toEqual({ ...answers[index], status: 'duplicate' });
        }
      });
    } finally {
      await cut.close();
      await proxy.close();
    }
    expect(Object.keys(seen)).toEqual(['appended', 'duplicate']);
    expect(seen.appended).toBeGreaterThan(0);
    expect(seen.duplicate).toBeGreaterThan(0);
  });

  test('a server that falls silent leaves the append uncertain at the deadline, and the next one goes through', async () => {
    const proxy = await CuttingProxy.before(database.url);
    const cut = participant(database.url, { databaseUrl: proxy.url, deadlineMs: 300 });
    try {
      await cut.store.append(command(newStream(), 0, event()));
      proxy.arm('silence');
      const lost = command(newStream(), 0, event());
      await expect(cut.store.append(lost)).rejects.toThrow(AppendUncertain);
      expect(await cut.store.append(lost)).toMatchObject({ status: 'appended', version: 1 });
    } finally {
      await cut.close();
      await proxy.close();
    }
  });

  test('a server out of reach leaves every append uncertain, and the same lane comes back by itself', async () => {
    const proxy = await CuttingProxy.before(database.url);
    const cut = participant(database.url, { databaseUrl: proxy.url, deadlineMs: 200 });
    try {
      proxy.refuse();
      const lost = range(1, 5).map(() => command(newStream(), 0, event()));
      const answers = await Promise.allSettled(lost.map((append) => cut.store.append(append)));
      for (const answer of answers) {
        expect(answer).toMatchObject({ status: 'rejected', reason: { name: 'AppendUncertain' } });
      }
      proxy.accept();
      await eventually(async () => {
        expect(await cut.store.append(lost[0]!)).toMatchObject({ version: 1 });
      });
    } finally {
      await cut.close();
      await proxy.close();
    }
  });

  test('22 append-in-repeatable-read-refused', async () => {
    for (const level of ['repeatable read', 'serializable']) {
      await raw.query(`begin isolation level ${level}`);
      await expect(raw.query(RAW_APPEND, [newStream(), 0])).rejects.toThrow(/READ COMMITTED/);
      await raw.query('rollback');
    }
    expect((await raw.query(RAW_APPEND, [newStream(), 0])).rows).toEqual([{ status: 'appended' }]);
  });

  test('23 lock-timeout-surfaces-as-retryable', async () => {
    const hurried = participant(database.url, { lockTimeoutMs: 30, deadlineMs: 150 });
    const append = command(newStream(), 0, event());
    try {
      await blocker.query('begin');
      await blocker.query('select log.take_turn()');
      const failure: unknown = await hurried.store.append(append).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(AppendUncertain);
      expect((failure as AppendUncertain).cause).toMatchObject({ code: '55P03' });
      await blocker.query('rollback');
      // It may have been stored after all, in the last moment: that is what "uncertain" means.
      expect(await hurried.store.append(append)).toMatchObject({ version: 1 });
      expect(await one.store.readStream(append.streamId)).toHaveLength(1);
    } finally {
      await blocker.query('rollback');
      await hurried.close();
    }
  });

  test('a lock that is free again within the deadline is waited for', async () => {
    const patient = participant(database.url, { lockTimeoutMs: 20, deadlineMs: 10_000 });
    try {
      await blocker.query('begin');
      await blocker.query('select log.take_turn()');
      const answer = patient.store.append(command(newStream(), 0, event()));
      await sleep(100);
      await blocker.query('rollback');
      expect(await answer).toMatchObject({ status: 'appended' });
    } finally {
      await patient.close();
    }
  });

  test('25 update-delete-forbidden', async () => {
    await one.store.append(command(newStream(), 0, event()));
    for (const statement of [
      'update log.events set version = version',
      'delete from log.events',
      'truncate log.events',
    ]) {
      await expect(raw.query(statement)).rejects.toThrow(/facts/);
    }
  });

  test('29 C late-commit-never-skipped', async () => {
    await raw.query(`
      create function pg_temp.hold() returns trigger language plpgsql as $$
      begin perform pg_advisory_xact_lock_shared(29); return new; end $$`);
    await raw.query(`
      create trigger hold before insert on log.events for each row
      when (new.type = 'Held') execute function pg_temp.hold()`);
    try {
      await rounds('29', async (random) => {
        const after = await one.store.head();
        await blocker.query('select pg_advisory_lock(29)');
        const held = raw.query(RAW_APPEND.replace('Raw', 'Held'), [newStream(), 0]).then(() => 1);
        const quick = range(1, random.int(1, 8)).map(async () => {
          await sleep(random.int(0, 4));
          await random.pick([one, two]).store.append(command(newStream(), 0, event()));
        });
        const reading = collect(one, after, quick.length + 1);
        await sleep(random.int(0, 6));
        await blocker.query('select pg_advisory_unlock(29)');
        await Promise.all([held, ...quick]);
        const seen = await reading;
        expect(seen).toHaveLength(quick.length + 1);
        assertDense(seen, after);
        expect(seen.filter(({ type }) => type === 'Held')).toHaveLength(1);
      });
    } finally {
      await blocker.query('select pg_advisory_unlock_all()');
      await raw.query('drop trigger hold on log.events');
    }
  });

  test('30 C long-foreign-transaction-does-not-stall-readers', async () => {
    await raw.query('create table foreign_work (n int)');
    await raw.query('begin');
    await raw.query('insert into foreign_work values (1)');
    try {
      await rounds('30', async (random) => {
        const after = await one.store.head();
        const commands = range(1, random.int(1, 10)).map(() => command(newStream(), 0, event()));
        await Promise.all(commands.map((append) => two.store.append(append)));
        const seen = await collect(one, after, commands.length);
        expect(seen).toHaveLength(commands.length);
        assertDense(seen, after);
      });
    } finally {
      await raw.query('rollback');
      await raw.query('drop table foreign_work');
    }
  });

  test('31 C older-xid-later-version-keeps-stream-order', async () => {
    await raw.query('create table older_work (n int)');
    await rounds('31', async (random) => {
      const after = await one.store.head();
      const stream = newStream();
      await raw.query('begin');
      // The transaction has its number before the other appends, and commits after it.
      await raw.query('insert into older_work values (1)');
      const younger = random.int(1, 4);
      await one.store.append(command(stream, 0, ...events(younger)));
      await raw.query(RAW_APPEND, [stream, null]);
      await raw.query('commit');
      const stored = await one.store.readStream(stream);
      expect(versions(stored)).toEqual(range(1, younger + 1));
      expect(stored.at(-1)?.type).toBe('Raw');
      expect(positions(stored)).toEqual(positions(await readEverything(two.store, after)));
    });
    await raw.query('drop table older_work');
  });

  test('35 two-store-instances-see-each-other', async () => {
    const stream = newStream();
    await one.store.append(command(stream, 0, event('One')));
    expect(await two.store.append(command(stream, 1, event('Two')))).toMatchObject({ version: 2 });
    const seen = (await one.store.readStream(stream)).map(({ type }) => type);
    expect(seen).toEqual(['One', 'Two']);
    expect(await two.store.head()).toBe(await one.store.head());
  });

  test('36 listener-connection-drop-falls-back-to-polling-and-recovers', async () => {
    const never = new AbortController().signal;
    const hintFromOther = async (): Promise<boolean> => {
      const { heard } = one.hints;
      const hint = one.hints.wait(5_000, never, heard);
      two.hints.announce();
      await hint;
      return one.hints.heard > heard;
    };
    await eventually(async () => {
      expect(await hintFromOther()).toBe(true);
    });

    await raw.query(`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'jobledger hints'`);
    const after = await one.store.head();
    const reading = collect(one, after, 20);
    for (const append of range(1, 20).map(() => command(newStream(), 0, event()))) {
      await two.store.append(append);
    }
    assertDense(await reading, after);
    expect(await reading).toHaveLength(20);

    await eventually(async () => {
      expect(await hintFromOther()).toBe(true);
    });
  });
});

async function collect(
  { store, hints }: Participant,
  after: bigint,
  count: number,
): Promise<readonly Recorded[]> {
  const seen: Recorded[] = [];
  for await (const page of tail({ store, hints, after }, AbortSignal.timeout(5_000))) {
    seen.push(...page);
    if (seen.length >= count) break;
  }
  return seen;
}
