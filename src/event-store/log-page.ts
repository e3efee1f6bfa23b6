import type { Event, Recorded } from '../events/event.ts';
import type { EventStore } from './event-store.ts';

export type LogPage<E extends Event = Event> = Readonly<{
  events: readonly Recorded<E>[];
  /** Everything up to here was looked at. */
  to: bigint;
  /** Whether there was more to see at the time. */
  more: boolean;
}>;

/** How many positions are looked at, for each event that is wanted, when only some types are. */
const SPARSE = 20;

/** Reads on from `after`, also over what is not of these types. */
export async function readPage<E extends Event = Event>(
  store: EventStore,
  {
    after,
    limit,
    types,
  }: Readonly<{ after: bigint; limit: number; types?: readonly string[] | undefined }>,
): Promise<LogPage<E>> {
  if (types === undefined) {
    const events = await store.readAll<E>({ after, limit });
    return { events, to: events.at(-1)?.position ?? after, more: events.length === limit };
  }
  // The head is read first, in a statement of its own: what stands up to it is visible to the next one.
  const head = await store.head();
  if (head <= after) return { events: [], to: after, more: false };
  const window = after + BigInt(limit * SPARSE);
  const upTo = head < window ? head : window;
  const events = await store.readAll<E>({ after, upTo, limit, types });
  const last = events.length === limit ? events.at(-1) : undefined;
  const to = last?.position ?? upTo;
  return { events, to, more: to < head };
}

/** How long a reader that has seen everything waits for more: briefly after an event, longer and longer after none. */
export class PollDelay {
  static readonly BUSY_MS = 5;
  static readonly IDLE_MS = 250;
  private ms = PollDelay.BUSY_MS;

  next(sawEvents: boolean): number {
    this.ms = sawEvents ? PollDelay.BUSY_MS : Math.min(this.ms * 2, PollDelay.IDLE_MS);
    return this.ms;
  }
}
