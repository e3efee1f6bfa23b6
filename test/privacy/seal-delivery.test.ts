import { expect, test } from 'vitest';

import type { Trigger } from '../../src/events/trigger.ts';
import { DeliveryLog } from '../../src/write/delivery/delivery-log.ts';
import type { ReceivedDelivery } from '../../src/write/door.ts';
import { gate } from '../event-store/builders.ts';
import { silent } from '../event-store/postgres-subject.ts';
import { request, trigger } from '../support/jobs.ts';

const { priority, concurrency, retry } = request();

const delivery = (sender: string): ReceivedDelivery => {
  const given: Trigger = { ...trigger, sender };
  return {
    source: 'github',
    provider: 'github',
    deliveryId: sender,
    key: sender,
    sameBodyIsDuplicate: true,
    event: 'push',
    action: null,
    outcome: 'accepted',
    reason: null,
    triggers: [trigger, given],
    jobs: [{ trigger: given, planned: { workflow: 'review', priority, concurrency, retry } }],
    headers: {},
    body: Buffer.from('{}'),
    receivedAt: new Date(),
  };
};

const logOf = (sealTrigger: (given: Trigger) => Promise<Trigger>, inOrder: boolean): DeliveryLog =>
  new DeliveryLog({
    databaseUrl: 'postgres://127.0.0.1:1/none',
    logger: silent,
    sealTrigger,
    inOrder,
  });

test('a sealed trigger is the same object in the row and in what it asks for', async () => {
  const log = logOf((given) => Promise.resolve({ ...given, sender: 'sealed' }), false);
  const { triggers, jobs } = await log.sealed(delivery('a'));
  expect(triggers.map(({ sender }) => sender)).toEqual(['sealed', 'sealed']);
  expect(jobs[0]?.trigger).toBe(triggers[1]);
  await log.close();
});

test('where the order counts, a delivery whose key is known does not overtake one whose key is not', async () => {
  const slow = gate();
  const log = logOf(async (given) => {
    if (given.sender === 'unknown') await slow.promise;
    return given;
  }, true);
  const ready: string[] = [];
  const sealing = ['unknown', 'known'].map(async (sender) => {
    const { key } = await log.sealed(delivery(sender));
    ready.push(key);
  });
  await new Promise(setImmediate);
  expect(ready).toEqual([]);
  slow.open();
  await Promise.all(sealing);
  expect(ready).toEqual(['unknown', 'known']);
  await log.close();
});
