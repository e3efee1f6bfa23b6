/** Anything that `JSON.stringify` keeps whole. */
export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/**
 * A fact that has happened. `type` and the shape of `data` are the stored
 * format: add event types freely, never rename or reuse one.
 */
export type Event<Type extends string = string, Data = unknown> = Readonly<{
  type: Type;
  at: Date;
  data: Readonly<Data>;
}>;

/** What is known about an event beside the fact itself: who and what brought it about. */
export type Metadata = Readonly<{
  /** The id of the event or command that led to this one. */
  causationId?: string;
  /** The same for everything that follows from one delivery. */
  correlationId?: string;
  /** Who asked for it: an API key's name, a worker's id. */
  actor?: string;
  /** Its appender tells the workers that the job is ready, so the dispatcher need not. */
  hinted?: true;
}>;

/** An event as the log returns it: the fact plus where it stands in the log. */
export type Recorded<E extends Event = Event> = E &
  Readonly<{
    id: string;
    streamId: string;
    version: number;
    position: bigint;
    metadata: Metadata;
    recordedAt: Date;
  }>;
