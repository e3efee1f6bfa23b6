import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import type { NewEvent } from '../../src/event-store/event-store.ts';
import { openEventStoreDb } from '../../src/mirror/event-store-db.ts';
import { streamName } from '../../src/mirror/mirror-stream.ts';
import { MIRROR, Mirror } from '../../src/mirror/mirror.ts';
import { pause } from '../../src/platform/backoff.ts';
import { sql } from '../../src/platform/sql.ts';
import { command, event, events, newStream, readEverything } from '../event-store/builders.ts';
import { compileProcess } from '../event-store/compile-follower.ts';
import { type Participant, participant, silent } from '../event-store/postgres-subject.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { EventStoreDbServer } from '../support/event-store-db.ts';
import { eventually } from '../support/eventually.ts';

const SOON = { timeoutMs: 60_000 };

describe('the mirror', () => {
  let database: TestDatabase;
  let one: Participant;
  let server: EventStoreDbServer;
  const stops: (() => Promise<void>)[] = [];
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    database = await createDatabase();
    one = participant(database.url);
    server = new EventStoreDbServer();
    await server.start();
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    for (const stop of stops.splice(0)) await stop();
    server.beforeAppend = () => Promise.resolve();
    // Each test begins with a mirror that has everything.
    server.streams.clear();
    server.appended.length = 0;
    await one.database.query(sql`
      update log.followers set epoch = epoch + 1,
        position = (select coalesce(max(position), 0) from log.events) where name = ${MIRROR}`);
  });
  afterAll(async () => {
    server.stop();
    await one.close();
    await database.drop();
  });

  function start(): Mirror {
    const stop = new AbortController();
    const mirror = new Mirror({
      ...one,
      databaseUrl: database.url,
      logger: silent,
      open: () => openEventStoreDb(server.url),
    });
    const running = mirror.run(stop.signal);
    stops.push(async () => {
      stop.abort();
      await running;
    });
    return mirror;
  }

  const append = (streamId: string, at: number, ...list: readonly NewEvent[]): Promise<unknown> =>
    one.store.append(command(streamId, at, ...list));

  const goBackTo = (position: bigint): Promise<unknown> =>
    one.database.query(sql`
      insert into log.followers (name, position) values (${MIRROR}, ${String(position)})
      on conflict (name) do update set position = excluded.position, epoch = log.followers.epoch + 1`);

  const hasAll = (mirror: Pick<Mirror, 'lag'>): Promise<void> =>
    eventually(async () => {
      expect(await mirror.lag()).toBe(0n);
    }, SOON);

  /** Every stream of the log after a position is there with the same events in the same order, and nothing else is. */
  async function expectSame(after: bigint): Promise<void> {
    const expected = new Map<string, string[]>();
    for (const { id, ...of } of await readEverything(one.store, after)) {
      const name = streamName(of);
      expected.set(name, [...(expected.get(name) ?? []), id]);
    }
    const found = [...server.streams].map(([name, list]) => [name, list.map(({ id }) => id)]);
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
  }

  test('copies each event once, under its id, in the order of its stream, with what led to it', async () => {
    const after = await one.store.head();
    const streams = Array.from({ length: 20 }, newStream);
    const mirror = start();
    for (let version = 0; version < 10; version++) {
      for (const stream of streams) await append(stream, version, event());
    }
    const told = newStream();
    const metadata = { causationId: 'c', correlationId: 'd', actor: 'somebody' };
    await append(told, 0, { ...event('JobRequested', { a: ['ü', null] }), metadata });
    await hasAll(mirror);
    const [copy] = server.streams.get(`job-${told}`) ?? [];
    expect(copy).toMatchObject({ type: 'JobRequested', data: '{"a":["ü",null]}' });
    expect(JSON.parse(copy?.metadata ?? '')).toMatchObject({
      $causationId: 'c',
      $correlationId: 'd',
      actor: 'somebody',
      position: String(await one.store.head()),
      version: '1',
      occurredAt: '2026-11-20T10:11:12.345Z',
    });
    await expectSame(after);
  });

  test('an event that was appended before the checkpoint moved is known, alone or with newer ones behind it', async () => {
    const after = await one.store.head();
    const stream = newStream();
    await append(stream, 0, ...events(3));
    const mirror = start();
    await hasAll(mirror);
    await append(stream, 3, ...events(2));
    await hasAll(mirror);
    await append(newStream(), 0, event());
    await goBackTo(after);
    await append(stream, 5, ...events(2));
    await hasAll(mirror);
    await expectSame(after);
  });

  test('a mirror that has lost events gets them back from the log', async () => {
    const after = await one.store.head();
    const stream = newStream();
    await append(stream, 0, ...events(5));
    const mirror = start();
    await hasAll(mirror);
    server.streams.set(
      `jobledger-${stream}`,
      (server.streams.get(`jobledger-${stream}`) ?? []).slice(0, 2),
    );
    await append(stream, 5, event());
    await hasAll(mirror);
    await expectSame(after);
  });

  test('a stream with events of somebody else is left as it is, and nothing is counted as copied', async () => {
    const stream = newStream();
    const theirs = {
      id: 'f0000000-0000-4000-8000-000000000000',
      type: 'X',
      data: '',
      metadata: '',
    };
    server.streams.set(`jobledger-${stream}`, [theirs]);
    await append(stream, 0, event(), event());
    let tries = 0;
    server.beforeAppend = () => {
      tries++;
      return Promise.resolve();
    };
    const mirror = start();
    await eventually(() => {
      expect(tries).toBeGreaterThanOrEqual(3);
    }, SOON);
    expect(server.streams.get(`jobledger-${stream}`)).toEqual([theirs]);
    expect(await mirror.lag()).toBe(2n);
    server.streams.delete(`jobledger-${stream}`);
    await hasAll(mirror);
    expect(server.streams.get(`jobledger-${stream}`)).toHaveLength(2);
  });

  test('what is larger than the server takes at once comes in parts', async () => {
    const after = await one.store.head();
    const stream = newStream();
    const large = Array.from({ length: 4 }, () => event('Happened', { text: 'x'.repeat(600_000) }));
    await append(stream, 0, ...large);
    const mirror = start();
    await hasAll(mirror);
    expect(server.appended).toHaveLength(4);
    await expectSame(after);
  });

  test('a server that is away, or says nothing, is waited for; the log goes on', async () => {
    const after = await one.store.head();
    const stream = newStream();
    await append(stream, 0, event());
    const mirror = start();
    await hasAll(mirror);
    server.stop();
    await append(stream, 1, ...events(3));
    await append(newStream(), 0, event());
    expect(await mirror.lag()).toBe(4n);
    await server.start();
    await hasAll(mirror);
    let silentCalls = 0;
    server.beforeAppend = () => {
      silentCalls++;
      return new Promise(() => undefined);
    };
    await append(stream, 4, event());
    await eventually(() => {
      expect(silentCalls).toBe(1);
    }, SOON);
    // What it was told goes with it.
    server.stop();
    server.beforeAppend = () => Promise.resolve();
    await server.start();
    await hasAll(mirror);
    await expectSame(after);
  });

  test('killed at any moment, the next one goes on: nothing is missing and nothing is twice', async () => {
    const after = await one.store.head();
    const streams = Array.from({ length: 40 }, newStream);
    const program = compileProcess('test/mirror/mirror-process.ts', [
      'events',
      'platform',
      'event-store',
      'mirror',
    ]);
    await goBackTo(after);
    for (let version = 0; version < 30; version += 3) {
      await Promise.all(streams.map((stream) => append(stream, version, ...events(3))));
    }
    server.beforeAppend = () => pause(2, new AbortController().signal);
    for (let kill = 1; kill <= 4; kill++) {
      const due = server.appended.length + 7 * kill;
      const child = spawn(process.execPath, [program, database.url, server.url], {
        stdio: 'ignore',
      });
      children.push(child);
      await eventually(() => {
        expect(server.appended.length).toBeGreaterThanOrEqual(due);
      }, SOON);
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
      await Promise.all(streams.map((stream) => append(stream, 27 + 3 * kill, ...events(3))));
    }
    const mirror = start();
    await hasAll(mirror);
    await expectSame(after);
  });
});
