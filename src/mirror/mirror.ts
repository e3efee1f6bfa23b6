import { readCheckpoint } from '../event-store/checkpoint.ts';
import { Follower, type FollowerParts } from '../event-store/follower.ts';
import type { Recorded } from '../events/event.ts';
import type { MirrorTarget } from './mirror-target.ts';
import { mirrorStream } from './mirror-stream.ts';

/** The mirror's checkpoint in log.followers. */
export const MIRROR = 'mirror';

const PAGE_SIZE = 500;

/** Appends under way at once. The client for EventStoreDB queues at 16, and a queue that breaks ends its process. */
const STREAMS_AT_ONCE = 8;

/**
 * Copies every stream of the log to another event store, each event under its own id and at its own place, so that
 * what is copied twice is there once. While the other store is away it waits, and nothing else does.
 */
export class Mirror {
  private readonly follower: Follower;
  private target: MirrorTarget | undefined;

  constructor(
    private readonly parts: FollowerParts & Readonly<{ open: () => Promise<MirrorTarget> }>,
  ) {
    this.follower = new Follower(
      { name: MIRROR, pageSize: PAGE_SIZE, handle: (page) => this.copy(page) },
      parts,
    );
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.follower.run(signal);
    await this.close();
  }

  /** How many events of the log the mirror does not have yet. */
  async lag(): Promise<bigint> {
    const { store, database } = this.parts;
    const position = await readCheckpoint(database, MIRROR);
    return (await store.head()) - position;
  }

  private async copy(page: readonly Recorded[]): Promise<void> {
    const target = (this.target ??= await this.parts.open());
    const streams = byStream(page);
    try {
      await Promise.all(
        Array.from({ length: STREAMS_AT_ONCE }, async () => {
          for (let next = streams.shift(); next; next = streams.shift()) {
            await mirrorStream({ target, store: this.parts.store }, next);
          }
        }),
      );
    } catch (error) {
      // A connection that failed once may keep what was sent over it: the next page opens another one.
      streams.length = 0;
      await this.close();
      throw error;
    }
  }

  private async close(): Promise<void> {
    const { target } = this;
    this.target = undefined;
    await target?.close();
  }
}

function byStream(page: readonly Recorded[]): (readonly Recorded[])[] {
  const streams = new Map<string, Recorded[]>();
  for (const event of page) {
    const stream = streams.get(event.streamId);
    if (stream) stream.push(event);
    else streams.set(event.streamId, [event]);
  }
  return [...streams.values()];
}
