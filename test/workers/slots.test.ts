import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { type ReleaseSlot, Slots, type Urgency } from '../../src/workers/slots.ts';
import { never } from './engine.ts';

const patient = { timeoutMs: 10_000, signal: never() };

async function taken(slot: Promise<ReleaseSlot | null>): Promise<ReleaseSlot> {
  const release = await slot;
  if (release === null) throw new Error('No slot');
  return release;
}

test('a slot that is given back twice is one slot', async () => {
  const slots = new Slots(1);
  const release = await taken(slots.take('new', patient));
  release();
  release();
  expect(slots.free).toBe(1);
});

test('a resumed job goes before a new one, and else the first goes first', async () => {
  const slots = new Slots(1);
  const order: string[] = [];
  const wait = async (name: string, urgency: Urgency): Promise<void> => {
    const release = await taken(slots.take(urgency, patient));
    order.push(name);
    release();
  };
  const release = await taken(slots.take('new', patient));
  const all = [
    wait('new 1', 'new'),
    wait('new 2', 'new'),
    wait('resumed 1', 'resumed'),
    wait('resumed 2', 'resumed'),
  ];
  release();
  await Promise.all(all);
  expect(order).toEqual(['resumed 1', 'resumed 2', 'new 1', 'new 2']);
});

test('who waited too long, or until an abort, has no slot and takes none later', async () => {
  const slots = new Slots(1);
  const release = await taken(slots.take('new', patient));
  const abort = new AbortController();
  const late = slots.take('new', { timeoutMs: 1, signal: never() });
  const aborted = slots.take('new', { timeoutMs: 10_000, signal: abort.signal });
  abort.abort();
  expect(await late).toBeNull();
  expect(await aborted).toBeNull();
  expect(await slots.take('new', { timeoutMs: 1, signal: abort.signal })).toBeNull();
  release();
  expect(slots.free).toBe(1);
});

test('tells when a slot is free', async () => {
  const slots = new Slots(1);
  await slots.whenFree(never());
  const release = await taken(slots.take('new', patient));
  const watching = slots.whenFree(never()).then(() => slots.free);
  await Promise.resolve();
  release();
  expect(await watching).toBe(1);
});

test('whatever the order, never more are taken than there are, and all are free in the end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.constantFrom<Urgency>('new', 'resumed'), { maxLength: 30 }),
      async (size, jobs) => {
        const slots = new Slots(size);
        let running = 0;
        await Promise.all(
          jobs.map(async (urgency) => {
            const release = await taken(slots.take(urgency, patient));
            running++;
            expect(running).toBeLessThanOrEqual(size);
            await Promise.resolve();
            running--;
            release();
          }),
        );
        expect(slots.free).toBe(size);
      },
    ),
  );
});
