import type { EventStore } from '../event-store/event-store.ts';
import type { Recorded } from '../events/event.ts';
import type { Database } from '../platform/database.ts';
import { isKnown } from './catalog.ts';
import { projectPage } from './page.ts';
import { type Group, type Reader, groupByPosition } from './reader.ts';

/** A rebuild must not pass over what it does not know: its rows would differ from what a newer program makes. */
export class UnknownEvent extends Error {
  override readonly name = 'UnknownEvent';

  constructor({ type, position }: Recorded) {
    super(
      `Event ${String(position)} is a ${type}, which this program does not know: rebuild with the newer one that wrote it`,
    );
  }
}

export type CatchUpOptions = Readonly<{
  database: Database;
  store: EventStore;
  /** Where to get to: asked again whenever the last answer is reached. */
  target: () => Promise<bigint>;
  pageSize: number;
  signal: AbortSignal;
  /** Called when all have taken a page: whom it moved, what it held and how long it took. */
  onPage?: (page: TakenPage) => Promise<void>;
}>;

export type TakenPage = Readonly<{
  readers: readonly Reader[];
  page: readonly Recorded[];
  ms: number;
  target: bigint;
}>;

/**
 * Brings readers to the target, those at one place by shared pages, and stops at the end of a page when `signal`
 * aborts. Each has a connection and transactions of its own, so one is computed while others are stored.
 */
export async function catchUp(readers: readonly Reader[], options: CatchUpOptions): Promise<void> {
  while (!options.signal.aborted) {
    const target = await options.target();
    const [group] = groupByPosition(readers.filter(({ position }) => position < target));
    if (!group) return;
    const upTo = group.upTo === null || group.upTo > target ? target : group.upTo;
    await followTo(group, upTo, { ...options, target: () => Promise.resolve(target) });
  }
}

/** No reader is more than two pages ahead of another, and all have ended when this does. */
async function followTo(group: Group, upTo: bigint, options: CatchUpOptions): Promise<void> {
  const { database, signal, onPage } = options;
  const target = await options.target();
  const lanes = group.readers.map((reader) => new Lane(database, reader));
  let [older, newer]: readonly Promise<void>[] = [Promise.resolve(), Promise.resolve()];
  let since = performance.now();
  const taken = async (page: readonly Recorded[]): Promise<void> => {
    const now = performance.now();
    const ms = now - since;
    since = now;
    await onPage?.({ readers: group.readers, page, ms, target });
  };
  try {
    for await (const page of readAhead(group.after, upTo, options)) {
      const unknown = page.find((event) => !isKnown(event));
      if (unknown) throw new UnknownEvent(unknown);
      await older;
      older = newer;
      if (signal.aborted) break;
      newer = Promise.all([older, ...lanes.map((lane) => lane.take(page))]).then(() => taken(page));
      // It is awaited a page later: until then its failure is nobody's.
      newer.catch(() => null);
    }
    await newer;
  } finally {
    await Promise.all(lanes.map((lane) => lane.ended()));
  }
}

/** One reader on its way through the pages, in their order. After a failure it takes no more. */
class Lane {
  private last: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: Database,
    private readonly reader: Reader,
  ) {}

  take(page: readonly Recorded[]): Promise<void> {
    this.last = this.last.then(() => projectPage(this.database, [this.reader], page));
    return this.last;
  }

  async ended(): Promise<void> {
    await this.last.catch(() => null);
  }
}

/** The pages up to a position; the next one is on its way while the last one is written. */
async function* readAhead(
  after: bigint,
  upTo: bigint,
  { store, pageSize }: Pick<CatchUpOptions, 'store' | 'pageSize'>,
): AsyncGenerator<readonly Recorded[]> {
  const read = (from: bigint): Promise<readonly Recorded[]> => {
    if (from >= upTo) return Promise.resolve([]);
    const page = store.readAll({ after: from, upTo, limit: pageSize });
    // It is awaited one page later: until then its failure is nobody's.
    page.catch(() => null);
    return page;
  };
  let page = await read(after);
  for (let last = page.at(-1); last; last = page.at(-1)) {
    const next = read(last.position);
    yield page;
    page = await next;
  }
}
