import { describe, expect, test } from 'vitest';

import { type Append, type AppendResult, EventStore } from '../../src/event-store/event-store.ts';
import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import type { Recorded } from '../../src/events/event.ts';
import { contract } from './event-store.contract.ts';

/** Says yes to everything and keeps nothing. */
class NoopEventStore extends EventStore {
  append({ events }: Append): Promise<AppendResult> {
    const version = events.length;
    return Promise.resolve({
      status: 'appended',
      firstPosition: 1n,
      lastPosition: BigInt(version),
      version,
    });
  }

  readStream<E>(): Promise<readonly (E & Recorded)[]> {
    return Promise.resolve([]);
  }

  readAll<E>(): Promise<readonly (E & Recorded)[]> {
    return Promise.resolve([]);
  }

  head(): Promise<bigint> {
    return Promise.resolve(0n);
  }
}

describe('a store that does nothing', () => {
  for (const { name, run } of contract) {
    test(`fails ${name}`, async () => {
      const store = new NoopEventStore();
      const subject = { store, other: store, hints: new LocalLogHints() };
      await expect(run(subject)).rejects.toThrow(/./);
    });
  }
});
