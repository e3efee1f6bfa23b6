import type { Event, Metadata, Recorded } from '../events/event.ts';

/** Where a stream must stand for an append: at this version (0: it does not exist), anywhere, or anywhere from 1. */
export type ExpectedVersion = number | 'any' | 'exists';

/** A fact on its way into the log. `id` makes the append repeatable: the same id is stored once. */
export type NewEvent<E extends Event = Event> = E & Readonly<{ id: string; metadata?: Metadata }>;

/** One independent command: all its events are stored, or none. */
export type Append = Readonly<{
  streamId: string;
  expected: ExpectedVersion;
  events: readonly NewEvent[];
}>;

/**
 * `duplicate`: these very events are in the log already, at the positions given.
 * `conflict`: the stream is at `version`, not where it was expected.
 * `id_conflict`: some of the ids are taken by other events, or the same id stands twice in the command.
 */
export type AppendResult =
  | Readonly<{
      status: 'appended' | 'duplicate';
      firstPosition: bigint;
      lastPosition: bigint;
      version: number;
    }>
  | Readonly<{ status: 'conflict' | 'id_conflict'; version: number }>;

export type StreamRange = Readonly<{
  /** The first version to give; default 1. */
  from?: number;
  /** The last version to give. */
  to?: number;
  limit?: number;
  backwards?: boolean;
}>;

export type LogRange = Readonly<{
  /** Give what stands after this position. */
  after: bigint;
  /** Nothing that stands after this position. */
  upTo?: bigint;
  limit: number;
  /** Only these types; the positions between are then passed over. */
  types?: readonly string[];
}>;

/** Where to read on, and what is wanted of it. */
export type PageRange = Readonly<{
  after: bigint;
  limit: number;
  types?: readonly string[] | undefined;
}>;

export type LogPage<E extends Event = Event> = Readonly<{
  events: readonly Recorded<E>[];
  /** Everything up to here was looked at. */
  to: bigint;
  /** Whether there was more to see at the time. */
  more: boolean;
}>;

/** How many positions are looked at, for each event that is wanted, when only some types are. */
const SPARSE = 20;

/** The append-only log: all events in one order, each in a stream. Knows nothing of jobs. */
export abstract class EventStore {
  /**
   * Stores all events of the command or none. An empty command stores nothing, whatever version it expects, and
   * answers `duplicate` with the stream's version and last position.
   */
  abstract append(command: Append): Promise<AppendResult>;

  /** The events of a stream by version; none for an unknown stream. */
  abstract readStream<E extends Event = Event>(
    streamId: string,
    range?: StreamRange,
  ): Promise<readonly Recorded<E>[]>;

  /** Events of all streams, by position, without gaps. */
  abstract readAll<E extends Event = Event>(range: LogRange): Promise<readonly Recorded<E>[]>;

  /** The last position; 0 for an empty log. */
  abstract head(): Promise<bigint>;

  /** Reads on from `after`, also over what is not of these types: what whoever follows the log reads. */
  async readPage<E extends Event = Event>({ after, limit, types }: PageRange): Promise<LogPage<E>> {
    if (types === undefined) {
      const events = await this.readAll<E>({ after, limit });
      return { events, to: events.at(-1)?.position ?? after, more: events.length === limit };
    }
    // The head is read first, in a statement of its own: what stands up to it is visible to the next one.
    const head = await this.head();
    if (head <= after) return { events: [], to: after, more: false };
    const window = after + BigInt(limit * SPARSE);
    const upTo = head < window ? head : window;
    const events = await this.readAll<E>({ after, upTo, limit, types });
    const last = events.length === limit ? events.at(-1) : undefined;
    const to = last?.position ?? upTo;
    return { events, to, more: to < head };
  }
}

/** The log could not be reached, or did not answer in time: whether the events were stored is not known. Append again with the same ids. */
export class AppendUncertain extends Error {
  override readonly name = 'AppendUncertain';
}
