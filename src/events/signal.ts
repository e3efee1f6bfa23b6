import type { Event, Json } from './event.ts';

/**
 * A named event from outside that paused jobs may wait for. Each is a stream of its own, whose id is the
 * signal's, so the same signal sent twice is one.
 */
export type SignalEvent = Event<
  'SignalReceived',
  { event: string; key: string | null; payload: Json }
>;
