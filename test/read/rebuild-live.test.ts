import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { newId } from '../../src/platform/ids.ts';
import { rebuild } from '../../src/projections/rebuild.ts';
import * as a from '../support/jobs.ts';
import { type Service, startService } from '../support/service.ts';

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service.stop();
});

/** Jobs that nobody runs: they are finished as soon as they are there. */
async function appendJob(): Promise<void> {
  const events = [a.requested({ workflow: 'counted' }), a.started(), a.completed()];
  const result = await service.core.store.append({
    streamId: newId(),
    expected: 0,
    events: events.map((event) => Object.assign(event, { id: newId() })),
  });
  expect(result.status).toBe('appended');
}

test(
  'during rebuilds under load no query fails, no list shrinks, and no subscription misses an event',
  { timeout: 180_000 },
  async () => {
    const { database, store } = service.core;
    for (let count = 0; count < 200; count++) await appendJob();
    const done = new AbortController();
    const loading = (async () => {
      while (!done.signal.aborted) await appendJob();
    })();
    const querying = (async () => {
      let [count, queries] = [0, 0];
      while (!done.signal.aborted) {
        const { jobs } = await service.query<{ jobs: { totalCount: number; nodes: unknown[] } }>(
          '{ jobs(filter: { workflow: ["counted"] }) { totalCount nodes { id status } } }',
        );
        expect(jobs.totalCount).toBeGreaterThanOrEqual(count);
        count = jobs.totalCount;
        queries++;
      }
      return queries;
    })();
    const client = createClient({
      url: `${service.api.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
    });
    const positions: number[] = [];
    let last = Infinity;
    const following = (async () => {
      const stream = client.iterate<{ jobEvents: { position: string } }>({
        query: 'subscription { jobEvents(after: "0") { position } }',
      });
      for await (const { data } of stream) {
        positions.push(Number(data?.jobEvents.position));
        if (done.signal.aborted && positions.length >= last) return;
      }
    })();
    for (let round = 0; round < 3; round++) {
      const results = await rebuild({ names: [], database, store, pageSize: 200 });
      expect(results.map(({ outcome }) => outcome)).toEqual(['swapped', 'swapped']);
    }
    done.abort();
    await loading;
    last = Number(await store.head());
    // One more, so that the stream gives something after it is known where it ends.
    await appendJob();
    await following;
    await client.dispose();
    expect(await querying).toBeGreaterThan(5);
    expect(positions).toEqual(positions.map((_, index) => index + 1));
  },
);
