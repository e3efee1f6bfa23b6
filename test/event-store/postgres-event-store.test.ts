import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type TestDatabase, createDatabase } from '../support/database.ts';
import { contract, expectWholeContract } from './event-store.contract.ts';
import { type Participant, participant } from './postgres-subject.ts';

describe('the log in Postgres', () => {
  let database: TestDatabase;
  let one: Participant;
  let two: Participant;

  beforeAll(async () => {
    database = await createDatabase();
    one = participant(database.url);
    two = participant(database.url, { connections: 2 });
  });

  afterAll(async () => {
    await one.close();
    await two.close();
    await database.drop();
  });

  for (const { name, run } of contract) {
    // oxlint-disable-next-line vitest/valid-title -- the contract names its cases
    test(name, async () => {
      const subject = { store: one.store, other: two.store, hints: one.hints };
      await expect(run(subject)).resolves.toBeUndefined();
    });
  }

  test('the contract is whole', () => {
    expectWholeContract();
  });
});
