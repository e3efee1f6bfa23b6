import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { openEventStoreDb } from '../../src/mirror/event-store-db.ts';
import type { MirrorTarget, MirroredEvent } from '../../src/mirror/mirror-target.ts';

const event = (note = 'a'): MirroredEvent => ({
  id: randomUUID(),
  type: 'Happened',
  data: { note },
  metadata: { position: '7' },
});
const newStream = (): string => `job-${randomUUID()}`;
const ids = (events: readonly MirroredEvent[]): readonly string[] => events.map(({ id }) => id);

/** What the mirror needs of a server, over its real protocol. */
export function describeEventStoreDb(
  name: string,
  open: () => Promise<Readonly<{ url: string; close: () => void }>>,
): void {
  describe(`the client at ${name}`, () => {
    let target: MirrorTarget;
    let close: () => void;

    beforeAll(async () => {
      const server = await open();
      ({ close } = server);
      target = await openEventStoreDb(server.url);
    });
    afterAll(async () => {
      await target.close();
      close();
    });

    test('appends to a new stream, and then behind what is there', async () => {
      const stream = newStream();
      const [one, two, three] = [event(), event(), event()];
      expect(await target.append(stream, 0, [one, two])).toBe('appended');
      expect(await target.append(stream, 2, [three])).toBe('appended');
      expect(await target.length(stream)).toBe(3);
      expect(await target.ids(stream, 0, 10)).toEqual(ids([one, two, three]));
      expect(await target.ids(stream, 1, 1)).toEqual(ids([two]));
    });

    test('takes the same append again for one', async () => {
      const stream = newStream();
      const events = [event(), event()];
      expect(await target.append(stream, 0, events)).toBe('appended');
      expect(await target.append(stream, 0, events)).toBe('appended');
      expect(await target.append(stream, 2, [event()])).toBe('appended');
      expect(await target.append(stream, 0, events)).toBe('appended');
      expect(await target.length(stream)).toBe(3);
    });

    test('refuses other events at a place that is taken, a place that is not there yet, and half of an append', async () => {
      const stream = newStream();
      const [one, two] = [event(), event()];
      expect(await target.append(stream, 0, [one])).toBe('appended');
      expect(await target.append(stream, 0, [event()])).toBe('conflict');
      expect(await target.append(stream, 5, [event()])).toBe('conflict');
      expect(await target.append(stream, 0, [one, two])).toBe('conflict');
      expect(await target.ids(stream, 0, 10)).toEqual([one.id]);
    });

    test('finds nothing in a stream that is not there', async () => {
      expect(await target.length(newStream())).toBe(0);
      expect(await target.ids(newStream(), 0, 10)).toEqual([]);
    });

    test('appends to many streams at once, each in its order', async () => {
      const streams = Array.from({ length: 8 }, newStream);
      const stored = await Promise.all(
        streams.map(async (stream) => {
          const events = Array.from({ length: 30 }, () => event('é'.repeat(500)));
          for (const [index, each] of events.entries()) {
            expect(await target.append(stream, index, [each])).toBe('appended');
          }
          return ids(events);
        }),
      );
      for (const [index, stream] of streams.entries()) {
        expect(await target.ids(stream, 0, 100)).toEqual(stored[index]);
      }
    });
  });
}
