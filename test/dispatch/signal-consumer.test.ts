import { beforeEach, expect, test } from 'vitest';

import { DispatchCounts } from '../../src/dispatch/dispatch-counts.ts';
import { SignalConsumer } from '../../src/dispatch/signal-consumer.ts';
import { InMemoryEventStore } from '../../src/event-store/in-memory-event-store.ts';
import { AppendUncertain } from '../../src/event-store/event-store.ts';
import type { Door } from '../../src/write/door.ts';
import { Rejected } from '../../src/write/rejected.ts';
import { inMemoryDoor } from '../support/in-memory-door.ts';
import { AT } from '../support/jobs.ts';
import { silent } from './support.ts';

let store: InMemoryEventStore;
beforeEach(() => {
  store = new InMemoryEventStore();
});

const consumer = (door: Door = inMemoryDoor(store)) =>
  new SignalConsumer({
    transport: { consume: () => Promise.resolve() },
    door,
    counts: new DispatchCounts(),
    clock: () => AT,
    logger: silent,
  });

const message = (body: unknown) => ({
  queue: 'workflow.events.signals',
  routingKey: 'signal.done',
  messageId: 'm',
  body,
  headers: {},
  deliveryCount: 0,
});

const refusing = (failure: Error): Door => {
  const execute = () => Promise.reject(failure);
  // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- needed by the overloads
  return { execute } as Door;
};

test('61 a signal from another program is in the log once, however often it comes', async () => {
  const body = { id: 's', event: 'done', key: 'k', payload: { n: [1] } };
  expect(await consumer().handle(message(body))).toBe('ack');
  expect(await consumer().handle(message(body))).toBe('ack');
  expect(await store.readAll({ after: 0n, limit: 10 })).toMatchObject([
    { type: 'SignalReceived', data: { event: 'done', key: 'k', payload: { n: [1] } }, at: AT },
  ]);
});

test('key and payload may be left out', async () => {
  expect(await consumer().handle(message({ id: 's', event: 'done' }))).toBe('ack');
  expect(await store.readStream('s')).toMatchObject([{ data: { key: null, payload: null } }]);
});

test.each([
  null,
  'text',
  [],
  {},
  { id: 's' },
  { id: '', event: 'done' },
  { id: 's', event: 'x'.repeat(1_001) },
  { id: 's\0', event: 'done' },
  { id: 's', event: 7 },
  { id: 's', event: 'done', key: 7 },
])('%o is no signal, and goes where the dead messages go, with the reason', async (body) => {
  expect(await consumer().handle(message(body))).toEqual({
    dead: expect.stringContaining('Not a signal') as string,
  });
  expect(await store.head()).toBe(0n);
});

test('one that is refused is dead', async () => {
  const door = refusing(new Rejected('signal-id-taken'));
  const body = { id: 's', event: 'done' };
  expect(await consumer(door).handle(message(body))).toEqual({ dead: 'Refused: signal-id-taken' });
});

test('one that came while the log is away comes again', async () => {
  const door = refusing(new AppendUncertain('away'));
  const body = { id: 's', event: 'done' };
  await expect(consumer(door).handle(message(body))).rejects.toThrow('away');
});
