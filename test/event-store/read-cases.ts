import { setImmediate, setTimeout as sleep } from 'node:timers/promises';

import { expect } from 'vitest';

import { tail } from '../../src/event-store/tail.ts';
import type { Recorded } from '../../src/events/event.ts';
import {
  AT,
  assertDense,
  command,
  event,
  events,
  ids,
  newStream,
  positions,
  range,
  readEverything,
  versions,
} from './builders.ts';
import type { Case, Subject } from './contract-case.ts';
import { rounds } from './seeded.ts';

export const readCases: readonly Case[] = [
  {
    name: '26 stream-read-always-ordered-by-version',
    async run({ store, other }) {
      const stream = newStream();
      for (let version = 0; version < 40; version += 2) {
        await Promise.all([
          store.append(command(stream, version, ...events(2))),
          other.append(command(newStream(), 0, event())),
        ]);
      }
      const stored = await store.readStream(stream);
      expect(versions(stored)).toEqual(range(1, 40));
      expect(positions(stored)).toEqual(positions(stored).toSorted((a, b) => Number(a - b)));
    },
  },
  {
    name: '27 read-from/to/limit/backwards, past-end empty',
    async run({ store }) {
      const stream = newStream();
      const head = await store.head();
      const list = range(1, 10).map((n) => event(n % 2 === 0 ? 'Even' : 'Odd'));
      await store.append(command(stream, 0, ...list));
      const read = async (options: object): Promise<readonly number[]> =>
        versions(await store.readStream(stream, options));
      expect(await read({})).toEqual(range(1, 10));
      expect(await read({ from: 4 })).toEqual(range(4, 10));
      expect(await read({ to: 3 })).toEqual([1, 2, 3]);
      expect(await read({ from: 4, to: 8, limit: 2 })).toEqual([4, 5]);
      expect(await read({ backwards: true, limit: 3 })).toEqual([10, 9, 8]);
      expect(await read({ backwards: true, from: 2, to: 4 })).toEqual([4, 3, 2]);
      expect(await read({ from: 11 })).toEqual([]);
      expect(await store.readStream(newStream())).toEqual([]);

      const all = async (options: object): Promise<readonly bigint[]> =>
        positions(await store.readAll({ after: head, limit: 100, ...options }));
      const at = (...places: readonly number[]): readonly bigint[] =>
        places.map((place) => head + BigInt(place));
      expect(await all({})).toEqual(at(...range(1, 10)));
      expect(await all({ limit: 3 })).toEqual(at(1, 2, 3));
      expect(await all({ upTo: head + 2n })).toEqual(at(1, 2));
      expect(await all({ types: ['Even'] })).toEqual(at(2, 4, 6, 8, 10));
      expect(await all({ types: ['Even'], limit: 2 })).toEqual(at(2, 4));
      expect(await all({ types: ['Even'], upTo: head + 5n })).toEqual(at(2, 4));
      expect(await all({ types: [] })).toEqual([]);
      expect(await all({ after: head + 10n })).toEqual([]);
      expect(await all({ after: head + 1000n })).toEqual([]);
    },
  },
  {
    name: '28 global-read-strictly-increasing-dense',
    async run({ store, other }) {
      const head = await store.head();
      const before = Date.now();
      const metadata = { causationId: 'c', correlationId: 'k', actor: 'somebody' };
      const first = { ...event('Kept', { whole: true }), metadata };
      await store.append(command(newStream(), 0, first));
      await Promise.all(
        range(1, 30).map((n) =>
          (n % 2 === 0 ? store : other).append(command(newStream(), 0, ...events(1 + (n % 3)))),
        ),
      );
      const stored = await readEverything(other, head, 7);
      expect(stored).toHaveLength(61);
      assertDense(stored, head);
      expect(stored[0]).toMatchObject({
        id: first.id,
        type: 'Kept',
        at: AT,
        data: { whole: true },
        metadata,
        version: 1,
      });
      expect(stored[1]?.metadata).toEqual({});
      expect(Math.abs(Number(stored[0]?.recordedAt) - before)).toBeLessThan(60_000);
    },
  },
  {
    name: '32 C big-and-small-batches-do-not-interleave',
    async run({ store, other }) {
      await rounds('32', async (random) => {
        const head = await store.head();
        const commands = range(1, random.int(4, 24)).map(() =>
          command(newStream(), 0, ...events(random.pick([1, 1, 2, 60]))),
        );
        await Promise.all(commands.map((append) => random.pick([store, other]).append(append)));
        const stored = await readEverything(store, head);
        assertDense(stored, head);
        for (const { streamId, events: list } of commands) {
          const first = stored.findIndex((item) => item.streamId === streamId);
          expect(ids(stored.slice(first, first + list.length))).toEqual(ids(list));
        }
      });
    },
  },
  {
    name: '33 C watermark-vs-snapshot-race',
    async run({ store, other }) {
      await rounds('33', async (random) => {
        let after = await store.head();
        const commands = range(1, 40).map(() =>
          command(newStream(), 0, event(random.pick(['Wanted', 'Other']))),
        );
        const wanted = commands.flatMap((append) =>
          append.events.filter(({ type }) => type === 'Wanted'),
        );
        let appending = true;
        const appended = Promise.all(
          commands.map(async (append) => {
            await sleep(random.int(0, 3));
            await random.pick([store, other]).append(append);
          }),
        ).finally(() => {
          appending = false;
        });
        const seen: Recorded[] = [];
        const limit = random.int(1, 6);
        for (let last = false; ; last = !appending) {
          const page = await store.readPage({ after, limit, types: ['Wanted'] });
          seen.push(...page.events);
          after = page.to;
          if (last && !page.more) break;
          await setImmediate();
        }
        await appended;
        expect(ids(seen).toSorted()).toEqual(ids(wanted).toSorted());
        expect(positions(seen)).toEqual(positions(seen).toSorted((a, b) => Number(a - b)));
      });
    },
  },
  {
    name: '34 subscription-switches-catchup→live-without-gap-or-repeat',
    async run(subject) {
      await rounds('34', async (random) => {
        const { store, other } = subject;
        const after = await store.head();
        const before = range(1, random.int(0, 30)).map(() => command(newStream(), 0, event()));
        await Promise.all(before.map((append) => store.append(append)));
        const live = range(1, random.int(1, 30)).map(() => command(newStream(), 0, event()));
        const seen = collect(subject, after, before.length + live.length, random.int(1, 10));
        for (const append of live) {
          await random.pick([store, other]).append(append);
        }
        const stored = await seen;
        assertDense(stored, after);
        expect(ids(stored)).toEqual(
          ids([...(await readEverything(store, after))]).slice(0, before.length + live.length),
        );
        expect(ids(stored).slice(before.length)).toEqual(
          ids(live.flatMap((append) => append.events)),
        );
      });
    },
  },
];

/** The first `count` events that a live tail gives; fewer when they do not come within two seconds. */
async function collect(
  { store, hints }: Subject,
  after: bigint,
  count: number,
  pageSize: number,
): Promise<readonly Recorded[]> {
  const seen: Recorded[] = [];
  const signal = AbortSignal.timeout(2_000);
  for await (const page of tail({ store, hints, after, pageSize }, signal)) {
    seen.push(...page);
    if (seen.length >= count) return seen;
  }
  return seen;
}
