import { describe, expect, test } from 'vitest';

import { InMemoryEventStore } from '../../src/event-store/in-memory-event-store.ts';
import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import { contract, expectWholeContract } from './event-store.contract.ts';

describe('the log in memory', () => {
  const hints = new LocalLogHints();
  const store = new InMemoryEventStore({ hints });

  for (const { name, run } of contract) {
    // oxlint-disable-next-line vitest/valid-title -- the contract names its cases
    test(name, async () => {
      await expect(run({ store, other: store, hints })).resolves.toBeUndefined();
    });
  }

  test('the contract is whole', () => {
    expectWholeContract();
  });
});
