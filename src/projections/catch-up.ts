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
  /** Called after each page: whom it moved, what it held and how long it took. */
  onPage?: (
    page: Readonly<{ readers: readonly Reader[]; events: number; ms: number; target: bigint }>,
  ) => Promise<void>;
}>;

/**
 * Brings readers to the target, those at one place by shared pages, and stops at the end of a page when `signal`
 * aborts. The place for several workers, each with the streams of one hash slot and a checkpoint of its own.
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

async function followTo(group: Group, upTo: bigint, options: CatchUpOptions): Promise<void> {
  const target = await options.target();
  let since = performance.now();
  for await (const page of readAhead(group.after, upTo, options)) {
    const unknown = page.find((event) => !isKnown(event));
    if (unknown) throw new UnknownEvent(unknown);
    await projectPage(options.database, group.readers, page);
    const now = performance.now();
    await options.onPage?.({
      readers: group.readers,
      events: page.length,
      ms: now - since,
      target,
    });
    since = now;
    if (options.signal.aborted) return;
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
