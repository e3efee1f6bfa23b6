import type { Event, Recorded } from '../events/event.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Logger } from '../platform/logger.ts';
import type { EventStore } from './event-store.ts';
import type { LogHints } from './log-hints.ts';
import { Pace } from './pace.ts';

export type TailOptions = Readonly<{
  store: EventStore;
  hints: Pick<LogHints, 'heard' | 'wait'>;
  /** The first page begins after this position. */
  after: bigint;
  types?: readonly string[];
  pageSize?: number;
  logger?: Logger;
}>;

const REST_MS = 10;

/**
 * Every event after a position, once and in order, for ever: first what is there, then what comes. Goes on by itself
 * after any loss of the database, from where it was. Ends when `signal` aborts.
 */
export async function* tail<E extends Event = Event>(
  { store, hints, after, types, pageSize = 500, logger }: TailOptions,
  signal: AbortSignal,
): AsyncGenerator<readonly Recorded<E>[], void, undefined> {
  const pace = new Pace(hints, REST_MS);
  let position = after;
  let failures = 0;
  while (!signal.aborted) {
    pace.begin();
    try {
      const page = await store.readPage<E>({ after: position, limit: pageSize, types });
      const passed = Number(page.to - position);
      failures = 0;
      position = page.to;
      if (page.events.length > 0) yield page.events;
      await pace.next({ taken: passed, more: page.more }, signal);
    } catch (error) {
      failures++;
      logger?.warn({ err: error, position: String(position) }, 'the log could not be read');
      await pause(backoffMs(failures, { firstMs: 20, maxMs: 1_000 }), signal);
    }
  }
}
