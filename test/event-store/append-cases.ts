import { expect } from 'vitest';

import {
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
import type { Case } from './contract-case.ts';
import { rounds } from './seeded.ts';

export const appendCases: readonly Case[] = [
  {
    name: '1 append-to-new-stream-returns-version-and-dense-positions',
    async run({ store }) {
      const stream = newStream();
      const head = await store.head();
      expect(await store.append(command(stream, 0, ...events(3)))).toEqual({
        status: 'appended',
        firstPosition: head + 1n,
        lastPosition: head + 3n,
        version: 3,
      });
      const stored = await store.readStream(stream);
      expect(versions(stored)).toEqual([1, 2, 3]);
      expect(positions(stored)).toEqual([head + 1n, head + 2n, head + 3n]);
      expect(await store.head()).toBe(head + 3n);
    },
  },
  {
    name: '2 expected-zero-on-existing-conflicts-with-actual-version',
    async run({ store }) {
      const stream = newStream();
      await store.append(command(stream, 0, ...events(2)));
      expect(await store.append(command(stream, 0, event()))).toEqual({
        status: 'conflict',
        version: 2,
      });
      expect(await store.readStream(stream)).toHaveLength(2);
    },
  },
  {
    name: '3 expected-n-exact / lower / higher conflict',
    async run({ store }) {
      const stream = newStream();
      await store.append(command(stream, 0, ...events(2)));
      const conflict = { status: 'conflict', version: 2 };
      expect(await store.append(command(stream, 1, event()))).toEqual(conflict);
      expect(await store.append(command(stream, 3, event()))).toEqual(conflict);
      expect(await store.append(command(newStream(), 1, event()))).toEqual({
        status: 'conflict',
        version: 0,
      });
      expect(await store.append(command(stream, 2, event()))).toMatchObject({
        status: 'appended',
        version: 3,
      });
      expect(await store.readStream(stream)).toHaveLength(3);
    },
  },
  {
    name: '4 expected-exists-on-missing-conflicts',
    async run({ store }) {
      const stream = newStream();
      expect(await store.append(command(stream, 'exists', event()))).toEqual({
        status: 'conflict',
        version: 0,
      });
      await store.append(command(stream, 0, event()));
      expect(await store.append(command(stream, 'exists', event()))).toMatchObject({
        status: 'appended',
        version: 2,
      });
    },
  },
  {
    name: '5 any-on-missing-creates',
    async run({ store }) {
      const stream = newStream();
      expect(await store.append(command(stream, 'any', event()))).toMatchObject({ version: 1 });
      expect(await store.append(command(stream, 'any', event()))).toMatchObject({ version: 2 });
      expect(versions(await store.readStream(stream))).toEqual([1, 2]);
    },
  },
  {
    name: '6 empty-append-is-noop (no NULLs, no lock)',
    async run({ store }) {
      const stream = newStream();
      await store.append(command(stream, 0, ...events(2)));
      const head = await store.head();
      for (const expected of [0, 2, 7, 'any', 'exists'] as const) {
        expect(await store.append(command(stream, expected))).toEqual({
          status: 'duplicate',
          firstPosition: head + 1n,
          lastPosition: head,
          version: 2,
        });
      }
      expect(await store.append(command(newStream(), 0))).toMatchObject({ version: 0 });
      expect(await store.head()).toBe(head);
    },
  },
  {
    name: '7 batch-is-atomic-one-stream',
    async run({ store }) {
      const stream = newStream();
      const first = event();
      await store.append(command(stream, 0, first));
      const head = await store.head();
      const batch = [event(), event(), first];
      expect(await store.append(command(stream, 1, ...batch))).toMatchObject({
        status: 'id_conflict',
      });
      expect(await store.head()).toBe(head);
      expect(ids(await store.readStream(stream))).toEqual([first.id]);
    },
  },
  {
    name: '8 batch-of-1001-and-70000-params-events',
    async run({ store }) {
      for (const count of [1001, 7001]) {
        const stream = newStream();
        const list = events(count);
        const head = await store.head();
        expect(await store.append(command(stream, 0, ...list))).toEqual({
          status: 'appended',
          firstPosition: head + 1n,
          lastPosition: head + BigInt(count),
          version: count,
        });
        const stored = await store.readStream(stream);
        expect(ids(stored)).toEqual(ids(list));
        expect(versions(stored)).toEqual(range(1, count));
        assertDense(stored, head);
      }
    },
  },
  {
    name: '9 multi-command-one-conflict-others-succeed',
    async run({ store }) {
      const [taken, ...fresh] = Array.from({ length: 20 }, newStream);
      await store.append(command(taken!, 0, event()));
      const answers = await Promise.all(
        [...fresh.slice(0, 10), taken!, ...fresh.slice(10)].map((stream) =>
          store.append(command(stream, 0, ...events(2))),
        ),
      );
      expect(answers[10]).toEqual({ status: 'conflict', version: 1 });
      expect(answers.filter(({ status }) => status === 'appended')).toHaveLength(19);
      for (const stream of fresh) expect(await store.readStream(stream)).toHaveLength(2);
      expect(await store.readStream(taken!)).toHaveLength(1);
    },
  },
  {
    name: '10 retry-same-ids-same-expected-returns-original-result',
    async run({ store }) {
      const append = command(newStream(), 0, ...events(3));
      const first = await store.append(append);
      expect(first).toMatchObject({ status: 'appended', version: 3 });
      const head = await store.head();
      expect(await store.append(append)).toEqual({ ...first, status: 'duplicate' });
      expect(await store.head()).toBe(head);
    },
  },
  {
    name: '11 retry-same-ids-any-returns-original-result',
    async run({ store }) {
      const append = command(newStream(), 'any', ...events(2));
      const first = await store.append(append);
      expect(first).toMatchObject({ status: 'appended', version: 2 });
      expect(await store.append(append)).toEqual({ ...first, status: 'duplicate' });
      expect(await store.readStream(append.streamId)).toHaveLength(2);
    },
  },
  {
    name: '12 retry-prefix-subset-is-duplicate',
    async run({ store }) {
      const stream = newStream();
      const list = events(3);
      const head = await store.head();
      await store.append(command(stream, 0, ...list));
      expect(await store.append(command(stream, 0, ...list.slice(0, 2)))).toEqual({
        status: 'duplicate',
        firstPosition: head + 1n,
        lastPosition: head + 2n,
        version: 2,
      });
      expect(await store.append(command(stream, 'any', ...list.toReversed()))).toEqual({
        status: 'id_conflict',
        version: 3,
      });
    },
  },
  {
    name: '13 partial-overlap-plus-new-is-id-conflict',
    async run({ store }) {
      const stream = newStream();
      const list = events(2);
      await store.append(command(stream, 0, ...list));
      for (const expected of [0, 2, 'any'] as const) {
        expect(await store.append(command(stream, expected, ...list, event()))).toEqual({
          status: 'id_conflict',
          version: 2,
        });
      }
      expect(await store.readStream(stream)).toHaveLength(2);
    },
  },
  {
    name: '14 same-id-other-stream-is-id-conflict',
    async run({ store }) {
      const taken = event();
      await store.append(command(newStream(), 0, taken));
      const stream = newStream();
      expect(await store.append(command(stream, 0, taken))).toEqual({
        status: 'id_conflict',
        version: 0,
      });
      expect(await store.readStream(stream)).toEqual([]);
    },
  },
  {
    name: '15 same-id-twice-in-one-batch-rejected-writes-nothing',
    async run({ store }) {
      const stream = newStream();
      const twice = event();
      const head = await store.head();
      expect(await store.append(command(stream, 0, twice, event(), twice))).toEqual({
        status: 'id_conflict',
        version: 0,
      });
      // The same id in two commands that may travel together: one of them is first.
      const answers = await Promise.all(
        [newStream(), newStream(), newStream()].map((other) =>
          store.append(command(other, 0, twice)),
        ),
      );
      expect(answers.map(({ status }) => status).toSorted()).toEqual([
        'appended',
        'id_conflict',
        'id_conflict',
      ]);
      expect(await store.head()).toBe(head + 1n);
    },
  },
  {
    name: '16 retry-after-later-events-still-duplicate',
    async run({ store }) {
      const stream = newStream();
      const first = command(stream, 0, event());
      const original = await store.append(first);
      await store.append(command(stream, 1, event()));
      await store.append(command(stream, 'any', ...events(2)));
      expect(await store.append(first)).toEqual({ ...original, status: 'duplicate' });
      expect(original.version).toBe(1);
      expect(await store.readStream(stream)).toHaveLength(4);
    },
  },
  {
    name: '17 C 200-parallel-any-none-lost-none-duplicated',
    async run({ store, other }) {
      await rounds('17', async (random) => {
        const head = await store.head();
        const streams = Array.from({ length: random.int(10, 40) }, newStream);
        const commands = range(1, 200).map(() => command(random.pick(streams), 'any', event()));
        const answers = await Promise.all(
          commands.map((append) => random.pick([store, other]).append(append)),
        );
        expect(answers.every(({ status }) => status === 'appended')).toBe(true);
        const stored = await readEverything(store, head);
        assertDense(stored, head);
        expect(ids(stored).toSorted()).toEqual(
          ids(commands.flatMap((append) => append.events)).toSorted(),
        );
        for (const stream of streams) {
          const own = stored.filter(({ streamId }) => streamId === stream);
          expect(versions(own)).toEqual(range(1, own.length));
        }
      });
    },
  },
  {
    name: '18 C N-writers-one-expected-exactly-one-winner, loser writes nothing',
    async run({ store, other }) {
      await rounds('18', async (random) => {
        const stream = newStream();
        const version = random.int(0, 3);
        if (version > 0) await store.append(command(stream, 0, ...events(version)));
        const writers = range(1, random.int(2, 12)).map(() => events(random.int(1, 3)));
        const answers = await Promise.all(
          writers.map((list) =>
            random.pick([store, other]).append(command(stream, version, ...list)),
          ),
        );
        const won = answers.findIndex(({ status }) => status === 'appended');
        const wins = answers.filter(({ status }) => status === 'appended');
        expect(wins).toHaveLength(1);
        const stored = await store.readStream(stream, { from: version + 1 });
        expect(ids(stored)).toEqual(ids(writers[won] ?? []));
        for (const [index, answer] of answers.entries()) {
          if (index !== won) {
            expect(answer).toEqual({ status: 'conflict', version: version + stored.length });
          }
        }
      });
    },
  },
  {
    name: '19 C disjoint-streams-all-succeed',
    async run({ store, other }) {
      await rounds('19', async (random) => {
        const commands = range(1, random.int(2, 60)).map(() =>
          command(newStream(), 0, ...events(random.int(1, 4))),
        );
        const answers = await Promise.all(
          commands.map((append) => random.pick([store, other]).append(append)),
        );
        for (const [index, answer] of answers.entries()) {
          const { streamId, events: list } = commands[index]!;
          expect(answer).toMatchObject({ status: 'appended', version: list.length });
          expect(ids(await store.readStream(streamId))).toEqual(ids(list));
        }
      });
    },
  },
  {
    name: '20 C rollback-and-conflict-leave-no-position-hole',
    async run({ store, other }) {
      await rounds('20', async (random) => {
        const head = await store.head();
        const stream = newStream();
        const commands = range(1, 20).map(() =>
          command(random.pick([stream, newStream()]), 0, ...events(random.int(1, 3))),
        );
        const answers = await Promise.all(
          commands.map((append) => random.pick([store, other]).append(append)),
        );
        const appended = commands.filter((_, index) => answers[index]?.status === 'appended');
        const stored = await readEverything(store, head);
        expect(stored).toHaveLength(appended.flatMap((append) => append.events).length);
        expect(stored.length).toBeGreaterThan(0);
        assertDense(stored, head);
        expect(await store.head()).toBe(head + BigInt(stored.length));
      });
    },
  },
  {
    name: '24 unicode-/NUL-/1 MB-payload-round-trip-bytes',
    async run({ store }) {
      const stream = `ünï/🧵/${newStream()}`;
      const data = {
        unicode: 'ẞ ﷽ 🏳️‍🌈 \u{10ffff} \u202e \ufeff',
        nul: 'a\u0000b',
        'nul\u0000key': ['\u0000'],
        loneSurrogates: '\ud83d x \udc00',
        text: `"\\\b\f\n\r\t\u2028\u2029</script>`,
        numbers: [0, 1.5e300, -1e-7, Number.MAX_SAFE_INTEGER, 0.1],
        empty: [{}, [], '', null, true, false],
        megabyte: 'ü\n'.repeat(350_000),
      };
      const metadata = { actor: 'nul \u0000 🧵', causationId: 'x' };
      expect(
        await store.append(command(stream, 0, { ...event('Ünï', data), metadata })),
      ).toMatchObject({ status: 'appended' });
      const [stored] = await store.readStream(stream);
      expect(stored?.data).toEqual(data);
      expect(JSON.stringify(stored?.data)).toBe(JSON.stringify(data));
      expect(stored).toMatchObject({ streamId: stream, type: 'Ünï', metadata });
      // Text has no escapes: what it cannot hold is refused, never altered.
      for (const text of ['a\u0000b', '\ud83d', '']) {
        await expect(store.append(command(text, 'any', event()))).rejects.toThrow(TypeError);
        await expect(store.append(command(stream, 'any', event(text)))).rejects.toThrow(TypeError);
      }
      expect(await store.readStream(stream)).toHaveLength(1);
    },
  },
];
