import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { LocalLogHints, type LogHints } from '../../src/event-store/log-hints.ts';
import { PostgresLogHints } from '../../src/event-store/postgres-log-hints.ts';
import { type TestDatabase, emptyDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { silent } from './postgres-subject.ts';

const NEVER = new AbortController().signal;
const LONG_MS = 60_000;

describe('hints within a process', () => {
  test('a wait ends with the next hint', async () => {
    const hints = new LocalLogHints();
    const waits = [hints.wait(LONG_MS, NEVER), hints.wait(LONG_MS, NEVER)];
    hints.announce();
    expect(await Promise.all(waits)).toHaveLength(2);
  });

  test('a hint between the read and the wait is not missed', async () => {
    const hints = new LocalLogHints();
    const { heard } = hints;
    hints.announce();
    await expect(hints.wait(LONG_MS, NEVER, heard)).resolves.toBeUndefined();
  });

  test('a wait ends after its timeout, and with an abort', async () => {
    const hints = new LocalLogHints();
    const stop = new AbortController();
    await expect(hints.wait(1, NEVER)).resolves.toBeUndefined();
    const aborted = hints.wait(LONG_MS, stop.signal);
    stop.abort();
    await expect(aborted).resolves.toBeUndefined();
    await expect(hints.wait(LONG_MS, stop.signal)).resolves.toBeUndefined();
  });
});

describe('hints between processes', () => {
  let database: TestDatabase;
  let listener: Client;
  let notifications = 0;
  const stop = new AbortController();
  const running: Promise<void>[] = [];

  const start = (): PostgresLogHints => {
    const hints = new PostgresLogHints({ databaseUrl: database.url, logger: silent });
    running.push(hints.run(stop.signal));
    return hints;
  };

  beforeAll(async () => {
    database = await emptyDatabase();
    listener = new Client(database.url);
    await listener.connect();
    listener.on('notification', () => {
      notifications++;
    });
    await listener.query('listen jobledger_log');
  });

  afterAll(async () => {
    stop.abort();
    await Promise.all(running);
    await listener.end();
    await database.drop();
  });

  test('one process hears what another one announces', async () => {
    const [here, there] = [start(), start()];
    await eventually(async () => {
      expect(await reaches(there, here)).toBe(true);
      expect(await reaches(here, there)).toBe(true);
    });
  });

  test('a process sends at most one notification in 20 ms, and the last announcement is always sent', async () => {
    const hints = start();
    await eventually(async () => {
      hints.announce();
      await sleep(50);
      expect(notifications).toBeGreaterThan(0);
    });
    await sleep(50);
    notifications = 0;
    const startedAt = performance.now();
    let announced = 0;
    while (performance.now() - startedAt < 300) {
      hints.announce();
      announced++;
      await sleep(1);
    }
    const elapsed = performance.now() - startedAt;
    const before = notifications;
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(announced);
    expect(before).toBeLessThanOrEqual(elapsed / 20 + 2);
    hints.announce();
    await eventually(() => {
      expect(notifications).toBeGreaterThan(before);
    });
  });
});

/** Whether a hint of `from` is heard by `to` soon. */
async function reaches(from: LogHints, to: LogHints): Promise<boolean> {
  const { heard } = to;
  const hint = to.wait(500, NEVER, heard);
  from.announce();
  await hint;
  return to.heard > heard;
}
