import { gzipSync } from 'node:zlib';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Trigger } from '../../src/events/trigger.ts';
import {
  UnreadableDelivery,
  packDelivery,
  unpackDelivery,
} from '../../src/ingress/spool/spooled-delivery.ts';
import { deliveredJobs } from '../../src/write/delivery/delivery-rows.ts';
import type { ReceivedDelivery } from '../../src/write/door.ts';
import { planned } from './support/ingress.ts';

const text = fc.string({ unit: 'binary' });

const anyDelivery: fc.Arbitrary<ReceivedDelivery> = fc
  .array(text, { maxLength: 5 })
  // Triggers may look the same and be two.
  .map((titles) => titles.map((title) => ({ event: 'push', title }) as unknown as Trigger))
  .chain((triggers) =>
    fc.record({
      source: text,
      provider: fc.constant('github' as const),
      deliveryId: text,
      key: text,
      sameBodyIsDuplicate: fc.boolean(),
      event: text,
      action: fc.option(text),
      outcome: fc.constant('accepted' as const),
      reason: fc.option(text),
      triggers: fc.constant(triggers),
      jobs: fc.subarray(triggers.map((trigger) => ({ trigger, planned }))),
      headers: fc.dictionary(fc.constantFrom('a', 'b', 'x-c'), text),
      receivedAt: fc.date({
        min: new Date('2020-01-01'),
        max: new Date('2100-01-01'),
        noInvalidDate: true,
      }),
      body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    }),
  );

describe('a delivery in a message', () => {
  test('comes out as it went in, with the same jobs', async () => {
    await fc.assert(
      fc.asyncProperty(anyDelivery, async (delivery) => {
        const unpacked = await unpackDelivery(await packDelivery(delivery));
        expect(unpacked).toEqual({ ...delivery, wasSpooled: true });
        expect(deliveredJobs(unpacked)).toEqual(deliveredJobs(delivery));
      }),
      { numRuns: 200 },
    );
  });

  test('has taken as long as it had when it was put there', async () => {
    const [delivery] = fc.sample(anyDelivery, 1);
    const packed = await packDelivery({ ...delivery!, elapsedMs: () => 12.5 });

    expect((await unpackDelivery(packed)).elapsedMs?.()).toBe(12.5);
  });

  test('of another format, cut off, or with a job for no trigger is not read', async () => {
    const message = (head: object): Buffer => {
      const bytes = Buffer.from(JSON.stringify(head));
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return gzipSync(Buffer.concat([length, bytes]));
    };
    const bad = [
      message({ format: 2 }),
      gzipSync(Buffer.from([0, 0])),
      gzipSync(Buffer.from([255, 255, 255, 255, 123])),
      Buffer.from('not compressed'),
      message({
        format: 1,
        source: 's',
        provider: 'github',
        deliveryId: 'd',
        key: 'd',
        sameBodyIsDuplicate: true,
        event: 'push',
        action: null,
        outcome: 'accepted',
        reason: null,
        triggers: [],
        jobs: [{ trigger: 0, planned }],
        headers: {},
        receivedAt: '2026-11-20T00:00:00.000Z',
      }),
    ];
    for (const bytes of bad) {
      await expect(unpackDelivery(bytes)).rejects.toBeInstanceOf(UnreadableDelivery);
    }
  });

  test('that would fill the memory is not unpacked', async () => {
    const bomb = gzipSync(Buffer.alloc(65 * 1024 * 1024));
    await expect(unpackDelivery(bomb)).rejects.toBeInstanceOf(UnreadableDelivery);
  });
});
