import { afterAll, beforeAll, expect, test } from 'vitest';

import { cancelCommands } from '../../src/dispatch/cancel-commands.ts';
import { EventRelay } from '../../src/dispatch/event-relay.ts';
import { RELAY } from '../../src/dispatch/names.ts';
import { raiseEpoch, readCheckpoint } from '../../src/event-store/checkpoint.ts';
import { rebuild } from '../../src/projections/rebuild.ts';
import { completed, requested, started, trigger } from '../support/jobs.ts';
import { FakeTransport, Ledger, silent } from './support.ts';

let ledger: Ledger;
beforeAll(async () => {
  ledger = await Ledger.open();
});
afterAll(async () => {
  await ledger.close();
});

const transport = new FakeTransport();

/** Everything that acts on what the log says, up to its end. */
async function react(): Promise<void> {
  const { database, store, hints, counts, door, clock } = ledger;
  const shared = { database, databaseUrl: ledger.url, store, hints, logger: silent };
  await ledger.fold();
  await cancelCommands({ ...shared, door, clock }).catchUp();
  const epoch = await raiseEpoch(database, RELAY);
  const relay = new EventRelay({ ...shared, transport, counts });
  await relay.relayPage(epoch, await readCheckpoint(database, RELAY));
}

const places = () =>
  ledger.rows(`
    select name, position::text as position from log.followers
    where name not like 'projection%' order by name`);

test('51 reactor-not-replayed-on-rebuild', async () => {
  await ledger.append('done', requested(), started(), completed());
  const { source, repository, pullRequest } = trigger;
  await ledger.append('open', requested());
  await ledger.signal('s', 'command.cancel', 'k', {
    source,
    repository: repository?.fullName ?? '',
    pullRequest: pullRequest?.number ?? 0,
    author: 'ada',
  });
  await react();
  await react();
  expect((await ledger.types('open')).at(-1)).toBe('JobCancelled');
  const [head, before] = [await ledger.store.head(), await places()];
  expect(before.length).toBeGreaterThanOrEqual(3);
  const published = transport.published.length;
  expect(published).toBe(Number(head) - 1);

  const { database, store } = ledger;
  const results = await rebuild({ names: [], database, store, fresh: true });
  expect(results.map(({ outcome }) => outcome)).toEqual(['swapped', 'swapped']);
  expect(await places()).toEqual(before);
  await react();
  expect(await store.head()).toBe(head);
  expect(transport.published).toHaveLength(published);
  expect(await places()).toEqual(before);
});
