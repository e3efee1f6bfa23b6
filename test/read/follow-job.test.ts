import { describe, expect, test } from 'vitest';

import { InMemoryEventStore } from '../../src/event-store/in-memory-event-store.ts';
import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import type { Event } from '../../src/events/event.ts';
import { newId } from '../../src/platform/ids.ts';
import { LiveLog } from '../../src/read/live/live-log.ts';
import { followJob, followLog } from '../../src/read/live/subscriptions.ts';
import { silent } from '../projections/support.ts';
import * as a from '../support/jobs.ts';

/** A log of one job that gets an event while a follower reads it: after the rows were found, before they arrive. */
class Overtaken extends InMemoryEventStore {
  readonly hints = new LocalLogHints();
  readsLeft = 0;
  overtake = (): Promise<void> => Promise.resolve();

  constructor() {
    super({ hints: { announce: () => this.hints.announce() } });
  }

  override async readStream<E extends Event>(
    ...args: Parameters<InMemoryEventStore['readStream']>
  ) {
    const found = await super.readStream<E>(...args);
    if (--this.readsLeft === 0) await this.overtake();
    return found;
  }

  async add(id: string, ...events: readonly Event[]): Promise<void> {
    const withIds = events.map((event) => Object.assign(event, { id: newId() }));
    await this.append({ streamId: id, expected: 'any', events: withIds });
  }
}

/** During that read of the job, it gets the event, and the live end has told its subscribers before the read is over. */
async function overtakenBy(id: string, event: Event, read: number) {
  const store = new Overtaken();
  await store.add(id, a.requested());
  const stop = new AbortController();
  const live = new LiveLog({ store, hints: store.hints, logger: silent });
  const running = live.run(stop.signal, 1n);
  const witness = live.open({});
  store.readsLeft = read;
  store.overtake = async () => {
    await store.add(id, event);
    await witness.take(stop.signal);
  };
  const end = async () => {
    stop.abort();
    await running;
  };
  return { source: { store, live, oldestPosition: () => Promise.resolve(1n) }, stop, end };
}

describe('an event that comes between what is read and what is live', () => {
  test('is not missed by who follows the job', async () => {
    const id = newId();
    const { source, stop, end } = await overtakenBy(id, a.started(), 1);
    const versions: number[] = [];
    for await (const { version } of followJob(source, { id, progress: false }, stop.signal)) {
      versions.push(version);
      if (versions.length === 2) break;
    }
    await end();
    expect(versions).toEqual([1, 2]);
  });

  test('is not missed, and not repeated, by who follows its events', async () => {
    const id = newId();
    // The second read is the one that finds nothing more.
    const { source, stop, end } = await overtakenBy(id, a.started(), 2);
    const range = { after: 0n, types: null, jobId: id };
    const positions: bigint[] = [];
    for await (const { position } of followLog(source, range, stop.signal)) {
      positions.push(position);
      if (positions.length === 2) await source.store.add(id, a.completed());
      if (positions.length === 3) break;
    }
    await end();
    expect(positions).toEqual([1n, 2n, 3n]);
  });
});
