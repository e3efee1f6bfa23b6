import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { EventRelay } from '../../src/dispatch/event-relay.ts';
import { RELAY } from '../../src/dispatch/names.ts';
import { CheckpointLost, raiseEpoch, readCheckpoint } from '../../src/event-store/checkpoint.ts';
import type { OutgoingMessage } from '../../src/messaging/transport.ts';
import { eventually } from '../support/eventually.ts';
import { completed, requested, started, stepCompleted } from '../support/jobs.ts';
import { FakeTransport, Ledger, silent } from './support.ts';

let ledger: Ledger;
let transport: FakeTransport;
beforeAll(async () => {
  ledger = await Ledger.open();
});
beforeEach(async () => {
  await ledger.wipe();
  transport = new FakeTransport();
});
afterAll(async () => {
  await ledger.close();
});

const newRelay = (through: Pick<FakeTransport, 'publish' | 'isReady'> = transport): EventRelay =>
  new EventRelay({
    database: ledger.database,
    databaseUrl: ledger.url,
    store: ledger.store,
    hints: ledger.hints,
    transport: through,
    counts: ledger.counts,
    logger: silent,
  });

const positions = (messages: readonly OutgoingMessage[]): readonly number[] =>
  messages.map(({ body }) => Number((body as { position: string }).position));

const upTo = (last: number, first = 1): readonly number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** Relays until nothing is left, as after each crash or failure. */
async function relayAll(relay = newRelay()): Promise<void> {
  const epoch = await raiseEpoch(ledger.database, RELAY);
  let page;
  do page = await relay.relayPage(epoch, await readCheckpoint(ledger.database, RELAY));
  while (page.more);
}

const requestJobs = async (count: number): Promise<void> => {
  for (let n = 0; n < count; n++) await ledger.append(`j${String(n)}`, requested());
};

test('every event of a job is published under its type, as it stands in the log', async () => {
  await ledger.append('j', requested(), started(), stepCompleted('one', 1), completed());
  await ledger.signal('s', 'done');
  await relayAll();
  expect(transport.published.map(({ routingKey }) => routingKey)).toEqual([
    'job.JobRequested',
    'job.JobStarted',
    'job.JobStepCompleted',
    'job.JobCompleted',
  ]);
  const [, , stored] = await ledger.store.readStream('j');
  expect(transport.published[2]).toEqual({
    exchange: 'workflow.events',
    routingKey: 'job.JobStepCompleted',
    messageId: stored?.id,
    body: {
      id: stored?.id,
      type: 'JobStepCompleted',
      jobId: 'j',
      version: 3,
      position: '3',
      at: stored?.at.toISOString(),
      recordedAt: stored?.recordedAt.toISOString(),
      data: stored?.data,
      metadata: {},
    },
  });
  expect(await newRelay().lag()).toBe(0n);
});

test('56 crash-between-publish-and-checkpoint-duplicates-never-loses', async () => {
  await requestJobs(5);
  const epoch = await raiseEpoch(ledger.database, RELAY);
  await raiseEpoch(ledger.database, RELAY);
  // Its checkpoint is lost after it has published: as a crash would have it.
  await expect(newRelay().relayPage(epoch, 0n)).rejects.toThrow(CheckpointLost);
  expect(positions(transport.published)).toEqual(upTo(5));
  await relayAll();
  expect(positions(transport.published)).toEqual([...upTo(5), ...upTo(5)]);
});

test('57 nack-or-out-of-order-confirm-advances-only-contiguous-prefix', async () => {
  await requestJobs(6);
  const epoch = await raiseEpoch(ledger.database, RELAY);
  const resolvers: (() => void)[] = [];
  const reordering = {
    isReady: () => true,
    publish: async (message: OutgoingMessage): Promise<void> => {
      const position = positions([message])[0];
      const confirmed = new Promise<void>((resolve) => resolvers.push(resolve));
      if (resolvers.length === 6) for (const resolve of resolvers.toReversed()) resolve();
      await confirmed;
      if (position === 4) throw new Error('nack');
    },
  };
  await expect(newRelay(reordering).relayPage(epoch, 0n)).rejects.toThrow('Event 4');
  expect(await readCheckpoint(ledger.database, RELAY)).toBe(3n);
  await relayAll();
  expect(positions(transport.published)).toEqual([4, 5, 6]);
  expect(await readCheckpoint(ledger.database, RELAY)).toBe(6n);
});

test('59 broker-down-buffers-nothing-and-resumes-in-order', async () => {
  transport.ready = false;
  let asked = 0;
  const counting = {
    isReady: () => transport.isReady(),
    publish: (message: OutgoingMessage) => {
      asked++;
      return transport.publish(message);
    },
  };
  const relay = newRelay(counting);
  const stop = new AbortController();
  const running = relay.run(stop.signal);
  await requestJobs(300);
  expect(asked).toBe(0);
  expect(await relay.lag()).toBe(300n);
  transport.ready = true;
  await eventually(async () => {
    expect(await relay.lag()).toBe(0n);
  });
  stop.abort();
  await running;
  expect(positions(transport.published)).toEqual(upTo(300));
  expect(asked).toBe(300);
});

describe('60 two-relays-one-publisher', () => {
  test('one publishes while the other stands by, and takes over when it ends', async () => {
    const stops = [new AbortController(), new AbortController()];
    const running = stops.map((stop) => newRelay().run(stop.signal));
    await requestJobs(50);
    await eventually(() => {
      expect(positions(transport.published)).toEqual(upTo(50));
    });
    stops[0]?.abort();
    await running[0];
    await ledger.append('late', requested());
    await eventually(() => {
      expect(positions(transport.published)).toEqual(upTo(51));
    });
    stops[1]?.abort();
    await running[1];
  });

  test('a zombie moves nothing, whatever the two do', async () => {
    await requestJobs(40);
    const zombie = await raiseEpoch(ledger.database, RELAY);
    const leader = await raiseEpoch(ledger.database, RELAY);
    await Promise.all([
      expect(newRelay().relayPage(zombie, 0n)).rejects.toThrow(CheckpointLost),
      newRelay().relayPage(leader, 0n),
    ]);
    expect(new Set(positions(transport.published))).toEqual(new Set(upTo(40)));
    expect(await readCheckpoint(ledger.database, RELAY)).toBe(40n);
  });
});
