import { expect, test } from 'vitest';

import { InMemoryEventStore } from '../../src/event-store/in-memory-event-store.ts';
import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import type { Queryable, Row } from '../../src/platform/database.ts';
import { LiveLog } from '../../src/read/live/live-log.ts';
import { followProgress } from '../../src/read/live/progress.ts';
import { silent } from '../projections/support.ts';

/** What jobs have said, look by look; then the look fails for good. */
class Said implements Queryable {
  looks = 0;
  constructor(
    private readonly answers: readonly (readonly Row[] | Error)[],
    private readonly stop: AbortController,
  ) {}

  query<R extends Row>(): Promise<readonly R[]> {
    const answer = this.answers[this.looks++];
    if (answer === undefined) this.stop.abort();
    if (answer instanceof Error) return Promise.reject(answer);
    return Promise.resolve((answer ?? []) as readonly R[]);
  }
}

test('a job that has said nothing new is not told of again, also after a look that failed', async () => {
  const stop = new AbortController();
  const live = new LiveLog({
    store: new InMemoryEventStore(),
    hints: new LocalLogHints(),
    logger: silent,
  });
  const feed = live.open({ jobId: 'a', progress: true });
  const a1 = { job_id: 'a', at: '1' };
  const a2 = { job_id: 'a', at: '2' };
  const database = new Said([[a1], [a1], new Error('away'), [a1], [a2]], stop);
  await followProgress({ live, database, logger: silent }, stop.signal);
  expect(database.looks).toBe(6);
  feed.push({ event: null, view: null, bytes: 0 });
  // Two that were told, and the one that makes sure that this ends.
  expect(await feed.take(new AbortController().signal)).toHaveLength(3);
});
