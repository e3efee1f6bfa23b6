import type { Event, Recorded } from '../events/event.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Logger } from '../platform/logger.ts';
import type { EventStore } from './event-store.ts';
import type { LogHints } from './log-hints.ts';
import { PollDelay, readPage } from './log-page.ts';

export type TailOptions = Readonly<{
  store: EventStore;
  hints: Pick<LogHints, 'heard' | 'wait'>;
  /** The first page begins after this position. */
  after: bigint;
  types?: readonly string[];
  pageSize?: number;
  logger?: Logger;
}>;

/**
 * Every event after a position, once and in order, for ever: first what is there, then what comes. Goes on by itself
 * after any loss of the database, from where it was. Ends when `signal` aborts.
 */
export async function* tail<E extends Event = Event>(
  { store, hints, after, types, pageSize = 500, logger }: TailOptions,
  signal: AbortSignal,
): AsyncGenerator<readonly Recorded<E>[], void, undefined> {
  const delay = new PollDelay();
  let position = after;
  let failures = 0;
  while (!signal.aborted) {
    const { heard } = hints;
    try {
      const page = await readPage<E>(store, { after: position, limit: pageSize, types });
      failures = 0;
      position = page.to;
      if (page.events.length > 0) yield page.events;
      if (!page.more) await hints.wait(delay.next(page.events.length > 0), signal, heard);
    } catch (error) {
      failures++;
      logger?.warn({ err: error, position: String(position) }, 'the log could not be read');
      await pause(backoffMs(failures, { firstMs: 20, maxMs: 1_000 }), signal);
    }
  }
}
