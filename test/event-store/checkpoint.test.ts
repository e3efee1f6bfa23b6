import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  CheckpointLost,
  moveCheckpoint,
  raiseEpoch,
  readCheckpoint,
} from '../../src/event-store/checkpoint.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type Participant, participant } from './postgres-subject.ts';

describe('a checkpoint', () => {
  let database: TestDatabase;
  let one: Participant;

  beforeAll(async () => {
    database = await createDatabase();
    one = participant(database.url);
  });

  afterAll(async () => {
    await one.close();
    await database.drop();
  });

  test('is 0 before the first term, and each term has a higher epoch', async () => {
    expect(await readCheckpoint(one.database, 'new')).toBe(0n);
    expect(await raiseEpoch(one.database, 'new')).toBe(1n);
    expect(await raiseEpoch(one.database, 'new')).toBe(2n);
    expect(await readCheckpoint(one.database, 'new')).toBe(0n);
  });

  test('moves from where it is, in the epoch that leads, and not otherwise', async () => {
    const name = 'moving';
    const epoch = await raiseEpoch(one.database, name);
    const move = (from: bigint, to: bigint, by = epoch): Promise<void> =>
      moveCheckpoint(one.database, { name, epoch: by, from, to });
    await move(0n, 10n);
    await expect(move(0n, 20n)).rejects.toThrow(CheckpointLost);
    await expect(move(9n, 20n)).rejects.toThrow(CheckpointLost);
    await expect(move(10n, 20n, epoch - 1n)).rejects.toThrow(CheckpointLost);
    await expect(
      moveCheckpoint(one.database, { name: 'unknown', epoch, from: 0n, to: 1n }),
    ).rejects.toThrow(CheckpointLost);
    expect(await readCheckpoint(one.database, name)).toBe(10n);
    await move(10n, 2n ** 62n);
    expect(await readCheckpoint(one.database, name)).toBe(2n ** 62n);
  });
});
