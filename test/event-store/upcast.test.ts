import { describe, expect, test } from 'vitest';

import { InMemoryEventStore } from '../../src/event-store/in-memory-event-store.ts';
import {
  UnknownSchemaVersion,
  type UpcastRegistry,
  Upcasters,
} from '../../src/event-store/upcast.ts';
import { command, event, newStream } from './builders.ts';

/** An illustration: the kind was one word, then there were tags, then each tag got a weight. */
const REGISTRY: UpcastRegistry = {
  Filed: [
    ({ kind }: { kind: string }) => ({ tags: [kind] }),
    ({ tags }: { tags: string[] }) => ({ tags: tags.map((name) => ({ name, weight: 1 })) }),
  ],
};

/** What each version looked like when it was written, and how it must read for ever. */
const GOLDEN = [
  { type: 'Filed', schemaVersion: 1, stored: { kind: 'urgent' } },
  { type: 'Filed', schemaVersion: 2, stored: { tags: ['urgent'] } },
  { type: 'Filed', schemaVersion: 3, stored: { tags: [{ name: 'urgent', weight: 1 }] } },
] as const;

describe('upcasting', () => {
  test('50 upcast-chain-golden', () => {
    const upcasters = new Upcasters(REGISTRY);
    for (const { type, schemaVersion, stored } of GOLDEN) {
      expect(upcasters.upcast(type, schemaVersion, stored)).toEqual(GOLDEN[2].stored);
    }
    expect(GOLDEN).toHaveLength(upcasters.currentVersion('Filed'));
  });

  test('a type without upcasts is at version 1 and reads as it was written', () => {
    const upcasters = new Upcasters(REGISTRY);
    const data = { any: 'thing' };
    expect(upcasters.currentVersion('Other')).toBe(1);
    expect(upcasters.upcast('Other', 1, data)).toBe(data);
    expect(upcasters.currentVersion('constructor')).toBe(1);
  });

  test('a version from the future is refused, not misread', () => {
    const upcasters = new Upcasters(REGISTRY);
    expect(() => upcasters.upcast('Filed', 4, {})).toThrow(UnknownSchemaVersion);
    expect(() => upcasters.upcast('Other', 2, {})).toThrow(UnknownSchemaVersion);
  });

  test('the log writes the current version and reads each one as the current', async () => {
    const stream = newStream();
    const store = new InMemoryEventStore({ upcasters: new Upcasters(REGISTRY) });
    await store.append(command(stream, 0, event('Filed', GOLDEN[2].stored)));
    const [stored] = await store.readStream(stream);
    expect(stored?.data).toEqual(GOLDEN[2].stored);
  });
});
