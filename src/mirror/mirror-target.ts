/** An event as the mirror keeps it. */
export type MirroredEvent = Readonly<{
  id: string;
  type: string;
  data: object;
  metadata: Readonly<Record<string, string>>;
}>;

/** What events are copied to: streams of events, each with an id. */
export interface MirrorTarget {
  /**
   * Appends all of the events or none to a stream that has so many events already. The same events at the same place
   * once more change nothing and are `appended`; `conflict` is a stream that is longer or shorter, or holds others.
   */
  append(
    stream: string,
    expected: number,
    events: readonly MirroredEvent[],
  ): Promise<'appended' | 'conflict'>;

  /** How many events a stream has. */
  length(stream: string): Promise<number>;

  /** The ids of so many of a stream's events, after the first `skip`. */
  ids(stream: string, skip: number, limit: number): Promise<readonly string[]>;

  /** Lets its connection go; what still waits for an answer is rejected. */
  close(): Promise<void>;
}
