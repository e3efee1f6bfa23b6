import type * as Library from '@eventstore/db-client';

import type { MirrorTarget, MirroredEvent } from './mirror-target.ts';

/** Longer than this, and it counts as away. */
const ANSWER_MS = 5_000;

/**
 * EventStoreDB or KurrentDB at a connection string, over gRPC. Its client is loaded here and nowhere else, when it is
 * first wanted. Nothing is connected before the first call; after a failure, close it and open another.
 */
export async function openEventStoreDb(connectionString: string): Promise<MirrorTarget> {
  const library = await import('@eventstore/db-client');
  return new EventStoreDb(
    library,
    library.EventStoreDBClient.connectionString`${connectionString}`,
  );
}

class EventStoreDb implements MirrorTarget {
  constructor(
    private readonly library: typeof Library,
    private readonly client: Library.EventStoreDBClient,
  ) {}

  async append(
    stream: string,
    expected: number,
    events: readonly MirroredEvent[],
  ): Promise<'appended' | 'conflict'> {
    const { jsonEvent, WrongExpectedVersionError } = this.library;
    const proposed = events.map(({ data, ...event }) => jsonEvent({ ...event, data: { ...data } }));
    const expectedRevision = expected === 0 ? 'no_stream' : BigInt(expected - 1);
    try {
      await inTime(
        this.client.appendToStream(stream, proposed, { expectedRevision, deadline: ANSWER_MS }),
      );
      return 'appended';
    } catch (error) {
      if (error instanceof WrongExpectedVersionError) return 'conflict';
      throw error;
    }
  }

  async length(stream: string): Promise<number> {
    const [last] = await this.read(stream, { direction: 'backwards', fromRevision: 'end' }, 1);
    return last === undefined ? 0 : Number(last.revision) + 1;
  }

  async ids(stream: string, skip: number, limit: number): Promise<readonly string[]> {
    const range = { direction: 'forwards', fromRevision: BigInt(skip) } as const;
    return (await this.read(stream, range, limit)).map(({ id }) => id);
  }

  close(): Promise<void> {
    return this.client.dispose();
  }

  private read(
    stream: string,
    range: Readonly<{ direction: 'forwards' | 'backwards'; fromRevision: 'end' | bigint }>,
    maxCount: number,
  ): Promise<readonly Readonly<{ id: string; revision: bigint }>[]> {
    const { StreamNotFoundError } = this.library;
    const reading = async (): Promise<Readonly<{ id: string; revision: bigint }>[]> => {
      const found: Readonly<{ id: string; revision: bigint }>[] = [];
      const events = this.client.readStream(stream, { ...range, maxCount, deadline: ANSWER_MS });
      try {
        for await (const { event } of events) if (event) found.push(event);
      } catch (error) {
        if (!(error instanceof StreamNotFoundError)) throw error;
      }
      return found;
    };
    return inTime(reading());
  }
}

/** The client waits for ever for a server that takes a request and says nothing. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`EventStoreDB did not answer within ${String(ANSWER_MS)} ms`));
    }, ANSWER_MS);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
