import { describe, expect, test } from 'vitest';

import { InMemoryEventStore } from '../../src/event-store/in-memory-event-store.ts';
import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import type { Recorded } from '../../src/events/event.ts';
import { newId } from '../../src/platform/ids.ts';
import { Feed, type LiveItem } from '../../src/read/live/feed.ts';
import { LiveLog } from '../../src/read/live/live-log.ts';
import { followLog } from '../../src/read/live/subscriptions.ts';
import { silent } from '../projections/support.ts';
import * as a from '../support/jobs.ts';

const never = new AbortController().signal;
const item = (bytes: number): LiveItem => ({
  event: { type: 'JobStarted' } as Recorded,
  view: null,
  bytes,
});

describe('what a slow subscriber holds', () => {
  test.each([
    ['256 events', 256, 1],
    ['1 MiB', 4, 256 * 1024],
  ])('is bounded by %s; then it is told that it missed some', async (_, count, bytes) => {
    const feed = new Feed(() => true);
    for (let pushed = 0; pushed < count; pushed++) feed.push(item(bytes));
    expect(await feed.take(never)).toHaveLength(count);
    for (let pushed = 0; pushed <= count; pushed++) feed.push(item(bytes));
    expect(await feed.take(never)).toBe('missed');
    feed.push(item(bytes));
    expect(await feed.take(never)).toHaveLength(1);
  });

  test('may be one event of any size', async () => {
    const feed = new Feed(() => true);
    feed.push(item(2 * 1024 * 1024));
    expect(await feed.take(never)).toHaveLength(1);
  });
});

describe('the log from a position', () => {
  const range = { types: null, jobId: null };

  async function following(after: bigint, oldest: bigint) {
    const store = new InMemoryEventStore();
    await store.append({
      streamId: newId(),
      expected: 'any',
      events: [
        { ...a.requested(), id: newId() },
        { ...a.started(), id: newId() },
        { ...a.completed(), id: newId() },
      ],
    });
    const live = new LiveLog({ store, hints: new LocalLogHints(), logger: silent });
    const source = { store, live, oldestPosition: () => Promise.resolve(oldest) };
    return followLog(source, { ...range, after }, never);
  }

  test('that is no longer kept is refused, and says from where it can be read', async () => {
    const events = await following(0n, 2n);
    await expect(events.next()).rejects.toMatchObject({
      extensions: { code: 'RESET_REQUIRED', oldestPosition: '2' },
    });
  });

  test.each([
    [1n, 2n, 2n],
    [0n, 1n, 1n],
    [0n, 0n, 1n],
  ])('%s begins without a gap where %s is the oldest', async (after, oldest, first) => {
    const events = await following(after, oldest);
    expect((await events.next()).value).toMatchObject({ position: first });
    await events.return(undefined);
  });
});
