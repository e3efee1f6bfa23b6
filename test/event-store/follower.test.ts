import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { CheckpointLost, raiseEpoch, readCheckpoint } from '../../src/event-store/checkpoint.ts';
import type { Follower } from '../../src/event-store/follower.ts';
import { Database, type Queryable } from '../../src/platform/database.ts';
import { sql } from '../../src/platform/sql.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { command, event, events, gate, newStream, range } from './builders.ts';
import { compileFollower } from './compile-follower.ts';
import { type Counting, NAME, count, countingFollower, createCounts } from './counting-follower.ts';
import { type Participant, participant, silent } from './postgres-subject.ts';
import { rounds } from './seeded.ts';

describe('a follower', () => {
  let database: TestDatabase;
  let one: Participant;
  let parts: Counting;
  let dyingDatabase: DyingDatabase;

  beforeAll(async () => {
    database = await createDatabase();
    one = participant(database.url);
    parts = { ...one, url: database.url, logger: silent };
    await one.database.query(createCounts);
    const options = { max: 2, applicationName: 'dying', logger: silent };
    dyingDatabase = new DyingDatabase(database.url, options);
  });

  beforeEach(async () => {
    await countingFollower(parts, { leader: 'reset' }).catchUp();
    await one.database.query(sql`truncate counted`);
  });

  afterAll(async () => {
    await dyingDatabase.close();
    await one.close();
    await database.drop();
  });

  const append = async (many: number): Promise<bigint> => {
    await one.store.append(command(newStream(), 0, ...events(many)));
    return one.store.head();
  };
  const checkpoint = (): Promise<bigint> => readCheckpoint(one.database, NAME);
  const lag = async (): Promise<bigint> => (await one.store.head()) - (await checkpoint());
  const reaches = (position: bigint): Promise<void> =>
    eventually(
      async () => {
        expect(await checkpoint()).toBe(position);
      },
      { everyMs: 5 },
    );

  /** Every position after `from` was counted once, and in order by each leader. */
  const expectCountedOnce = async (from: bigint): Promise<void> => {
    const rows = await one.database.query<{ position: string }>(
      sql`select position from counted where position > ${String(from)} order by position`,
    );
    const head = await one.store.head();
    expect(rows.map(({ position }) => Number(position))).toEqual(
      range(Number(from) + 1, Number(head)),
    );
  };
  const leaders = async (): Promise<readonly string[]> => {
    const rows = await one.database.query<{ leader: string }>(
      sql`select leader from counted group by leader order by min(position)`,
    );
    return rows.map(({ leader }) => leader);
  };

  test('38 checkpoint-and-rows-commit-together (kill between)', async () => {
    const from = await one.store.head();
    await rounds('38', async (random) => {
      await append(random.int(1, 30));
      const killAt = random.int(1, 3);
      const moment = random.pick(['between rows and checkpoint', 'before the commit']);
      let page = 0;
      const kill = async (transaction: Queryable, now: string): Promise<void> => {
        if (now !== moment || ++page !== killAt) return;
        await transaction.query(sql`select pg_terminate_backend(pg_backend_pid())`);
      };
      dyingDatabase.beforeCommit = (transaction) => kill(transaction, 'before the commit');
      const dying = countingFollower(
        { ...parts, database: dyingDatabase },
        {
          leader: 'dying',
          pageSize: random.int(1, 12),
          handle: async (list, transaction) => {
            await count(list, transaction, 'dying');
            await kill(transaction, 'between rows and checkpoint');
          },
        },
      );
      await dying.catchUp().catch(() => {});
      const position = await checkpoint();
      const [{ counted } = { counted: '' }] = await one.database.query<{ counted: string }>(
        sql`select coalesce(max(position), ${String(from)}) as counted from counted`,
      );
      expect(counted).toBe(String(position));
      await countingFollower(parts, { leader: 'next' }).catchUp();
      await expectCountedOnce(from);
    });
  });

  test('39 C two-instances-one-effect', async () => {
    const from = await one.store.head();
    let lost = 0;
    await rounds('39', async (random) => {
      await append(random.int(1, 40));
      const race = range(1, 3).map((n) =>
        countingFollower(parts, {
          leader: `racer ${String(n)}`,
          pageSize: random.int(1, 15),
        }).catchUp(),
      );
      for (const result of await Promise.allSettled(race)) {
        if (result.status === 'rejected') {
          expect(result.reason).toBeInstanceOf(CheckpointLost);
          lost++;
        }
      }
      await countingFollower(parts, { leader: 'last' }).catchUp();
      await expectCountedOnce(from);
      expect(await lag()).toBe(0n);
    });
    expect(lost).toBeGreaterThan(0);
  });

  test('40 C zombie-after-pause-cannot-commit (epoch CAS)', async () => {
    const from = await one.store.head();
    await rounds('40', async (random) => {
      await append(random.int(1, 20));
      const paused = gate();
      const resume = gate();
      const zombie = countingFollower(parts, {
        leader: 'zombie',
        pageSize: random.int(1, 20),
        handle: async (page, transaction) => {
          paused.open();
          await resume.promise;
          await count(page, transaction, 'zombie');
        },
      }).catchUp();
      await paused.promise;
      const next = countingFollower(parts, { leader: 'next' });
      // The one who leads now has worked already, or has only begun.
      if (random.int(0, 1) === 1) await next.catchUp();
      else await raiseEpoch(one.database, NAME);
      resume.open();
      await expect(zombie).rejects.toBeInstanceOf(CheckpointLost);
      await next.catchUp();
    });
    expect(await leaders()).toEqual(['next']);
    await expectCountedOnce(from);
  });

  test('41 takeover-after-crash-within-lease: the leading process is killed, or frozen', async () => {
    const file = compileFollower();
    const from = await one.store.head();
    const start = (leader: string): ChildProcess =>
      spawn(process.execPath, [file, database.url, leader], { stdio: 'inherit' });
    const killed = start('killed');
    const children = [killed];
    try {
      await reaches(await append(5));
      expect(await leaders()).toEqual(['killed']);
      const frozen = start('frozen');
      children.push(frozen);
      await candidates(one, 1);

      killed.kill('SIGKILL');
      const killedAt = performance.now();
      await reaches(await append(5));
      expect(performance.now() - killedAt).toBeLessThan(5_000);
      expect(await leaders()).toEqual(['killed', 'frozen']);

      frozen.kill('SIGSTOP');
      const frozenAt = performance.now();
      children.push(start('last'));
      await reaches(await append(5));
      expect(performance.now() - frozenAt).toBeLessThan(10_000);
      frozen.kill('SIGCONT');
      await reaches(await append(5));
      expect(await leaders()).toEqual(['killed', 'frozen', 'last']);
      await expectCountedOnce(from);
    } finally {
      for (const child of children) {
        const ended = once(child, 'exit');
        if (child.exitCode === null && child.signalCode === null) {
          child.kill('SIGKILL');
          await ended;
        }
      }
    }
  }, 40_000);

  test('53 lag-exact-and-zero-when-idle', async () => {
    const only = countingFollower(parts, { leader: 'only', types: ['Wanted'] });
    expect(await lag()).toBe(0n);
    await append(7);
    await one.store.append(command(newStream(), 0, event('Wanted'), event('Other')));
    expect(await lag()).toBe(9n);
    await only.catchUp();
    expect(await lag()).toBe(0n);
    expect(await one.database.query(sql`select position::text from counted`)).toEqual([
      { position: String((await one.store.head()) - 1n) },
    ]);
    await append(3000);
    expect(await lag()).toBe(3000n);
    await only.catchUp();
    expect(await lag()).toBe(0n);
  });

  test('54 stop-drains-and-persists-checkpoint', async () => {
    const before = await checkpoint();
    await append(25);
    const stop = new AbortController();
    const handling = gate();
    const resume = gate();
    const order: string[] = [];
    const follower = countingFollower(parts, {
      leader: 'stopped',
      handle: async (page, transaction) => {
        handling.open();
        await resume.promise;
        await count(page, transaction, 'stopped');
      },
    });
    const running = follower.run(stop.signal).finally(() => {
      order.push('stopped');
    });
    await handling.promise;
    stop.abort();
    await one.store.head();
    order.push('resumed');
    resume.open();
    await running;
    expect(order).toEqual(['resumed', 'stopped']);
    expect(await checkpoint()).toBe(before + 10n);
    await countingFollower(parts, { leader: 'next' }).catchUp();
    await expectCountedOnce(before);
  });

  test('a page whose handler fails comes again, and nothing is passed over', async () => {
    const from = await one.store.head();
    const head = await append(25);
    let failures = 2;
    await following(
      countingFollower(parts, {
        leader: 'stumbling',
        handle: async (page, transaction) => {
          await count(page, transaction, 'stumbling');
          if (failures-- > 0) throw new Error('The handler stumbled');
        },
      }),
      () => reaches(head),
    );
    await expectCountedOnce(from);
  });

  test('it says when it has caught up: at the start, and after each progress', async () => {
    const caughtUpAt: bigint[] = [];
    const follower = countingFollower(parts, {
      leader: 'eager',
      onCaughtUp: async () => {
        caughtUpAt.push(await checkpoint());
      },
    });
    const start = await checkpoint();
    await following(follower, async () => {
      await eventually(() => {
        expect(caughtUpAt).toEqual([start]);
      });
      const next = await append(3);
      await eventually(() => {
        expect(caughtUpAt).toEqual([start, next]);
      });
    });
  });

  test('of two that run, one leads; when its session is cut, one of them goes on', async () => {
    const from = await one.store.head();
    const first = countingFollower(parts, { leader: 'first' });
    const second = countingFollower(parts, { leader: 'second' });
    await following(first, async () => {
      await reaches(await append(3));
      await following(second, async () => {
        await candidates(one, 1);
        await reaches(await append(3));
        expect(await leaders()).toEqual(['first']);
        await one.database.query(sql`
          select pg_terminate_backend(pid) from pg_locks
          where locktype = 'advisory' and granted
            and database = (select oid from pg_database where datname = current_database())`);
        await reaches(await append(3));
        await reaches(await append(3));
      });
    });
    await expectCountedOnce(from);
  });
});

/** Something happens to a transaction at its very end. */
class DyingDatabase extends Database {
  beforeCommit: (transaction: Queryable) => Promise<void> = async () => {};

  override transaction<T>(work: (transaction: Queryable) => Promise<T>): Promise<T> {
    return super.transaction(async (transaction) => {
      const result = await work(transaction);
      await this.beforeCommit(transaction);
      return result;
    });
  }
}

/** Runs a follower while `work` does, and waits for its end. */
async function following(follower: Follower, work: () => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const running = follower.run(stop.signal);
  try {
    await work();
  } finally {
    stop.abort();
    await running;
  }
}

/** Resolves when so many processes wait for the lead that another one has. */
async function candidates({ database }: Participant, many: number): Promise<void> {
  await eventually(async () => {
    const rows = await database.query(sql`
      select pid from pg_stat_activity
      where datname = current_database() and application_name like 'jobledger lead%'
        and query like '%pg_try_advisory_lock%'`);
    expect(rows.length).toBeGreaterThanOrEqual(many);
  });
}
