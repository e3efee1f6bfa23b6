import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { RecentEvents } from '../../src/event-store/recent-events.ts';
import type { Recorded } from '../../src/events/event.ts';

const at = (position: bigint): Recorded => ({ position }) as Recorded;

/** A log of which the first `length` events are stored, and how often it was asked. */
class Log {
  length = 0;
  fetches = 0;
  bytesPerEvent = 100;

  readonly fetch = async (after: bigint, limit: number) => {
    this.fetches++;
    const from = Number(after);
    const to = Math.min(this.length, from + limit);
    // Whoever reads next may do so before this answer is there.
    await Promise.resolve();
    const events = Array.from({ length: Math.max(0, to - from) }, (_, i) =>
      at(BigInt(from + i + 1)),
    );
    return { events, bytes: events.length * this.bytesPerEvent };
  };
}

const positions = (events: readonly Recorded[] | undefined) =>
  events?.map(({ position }) => Number(position));

describe('the end of the log that a process has read', () => {
  test('is fetched once for all who follow it', async () => {
    const log = new Log();
    const recent = new RecentEvents(log.fetch);
    log.length = 3;
    expect(positions((await recent.readOn(0n))?.events)).toEqual([1, 2, 3]);
    expect(positions((await recent.readOn(0n))?.events)).toEqual([1, 2, 3]);
    expect(positions((await recent.readOn(2n))?.events)).toEqual([3]);
    expect(log.fetches).toBe(1);
  });

  test('says that there may be more when it did not look', async () => {
    const log = new Log();
    const recent = new RecentEvents(log.fetch);
    log.length = 1;
    expect(await recent.readOn(0n)).toMatchObject({ more: false });
    expect(await recent.readOn(0n)).toMatchObject({ more: true });
    expect(await recent.readOn(1n)).toMatchObject({ events: [], more: false });
  });

  test('holds no event of a megabyte for long', async () => {
    const log = new Log();
    log.bytesPerEvent = 3 * 1024 * 1024;
    const recent = new RecentEvents(log.fetch);
    log.length = 1;
    await recent.readOn(0n);
    await recent.readOn(0n);
    expect(log.fetches).toBe(2);
  });

  test('leaves to the log what is older', async () => {
    const log = new Log();
    const recent = new RecentEvents(log.fetch);
    log.length = 100;
    await recent.readOn(90n);
    expect(await recent.readOn(50n)).toBeNull();
  });

  test('leaves to the log what has gaps, because some of it was archived', async () => {
    const fetched = { events: [at(3n), at(5n)], bytes: 0 };
    const recent = new RecentEvents(() => Promise.resolve(fetched));
    expect(await recent.readOn(2n)).toBeNull();
    expect(await recent.readOn(0n)).toBeNull();
  });

  test('gives each follower every event once, in order, however they take turns', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ appended: fc.nat(400), readers: fc.array(fc.nat(2)) }), {
          maxLength: 30,
        }),
        async (turns) => {
          const log = new Log();
          const recent = new RecentEvents(log.fetch);
          const seen: number[][] = [[], [], []];
          const read = async (reader: number): Promise<void> => {
            const own = seen[reader] ?? [];
            const after = BigInt(own.length);
            const fresh = (await recent.readOn(after)) ?? (await log.fetch(after, 50));
            // Two reads of one follower may overlap here; it takes what goes on from where it stands.
            for (const { position } of fresh.events) {
              if (Number(position) === own.length + 1) own.push(Number(position));
            }
          };
          for (const { appended, readers } of turns) {
            log.length += appended;
            await Promise.all(readers.map(read));
          }
          for (const reader of [0, 1, 2]) {
            while ((seen[reader]?.length ?? 0) < log.length) await read(reader);
            expect(seen[reader]).toEqual(Array.from({ length: log.length }, (_, i) => i + 1));
          }
        },
      ),
    );
  });
});
