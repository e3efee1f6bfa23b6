import type { Recorded } from '../events/event.ts';

/** Enough for followers that are a few pages apart. */
const MAX_EVENTS = 1_000;
/** As stored. */
const MAX_BYTES = 2 * 1024 * 1024;
const FETCH = 500;

export type Fetched = Readonly<{ events: readonly Recorded[]; bytes: number }>;

type Page = Fetched & Readonly<{ from: bigint; to: bigint }>;

export type Fresh = Readonly<{
  events: readonly Recorded[];
  /** Whether there may be more that was not read yet. */
  more: boolean;
}>;

/**
 * The end of the log as this process has read it last, so that followers who read the same events one after the other
 * fetch and parse them once. Positions at the end of the log have no gaps, so what is here between two of them is all
 * there is.
 */
export class RecentEvents {
  private pages: readonly Page[] = [];
  private fetching: Promise<unknown> | null = null;

  constructor(private readonly fetch: (after: bigint, limit: number) => Promise<Fetched>) {}

  /** What comes after a position; null when that lies before what is kept here, or some of it was archived. */
  async readOn(after: bigint): Promise<Fresh | null> {
    const known = this.known(after);
    if (known === null) return null;
    if (known.length > 0) return { events: known, more: true };
    if (this.fetching !== null) {
      // Somebody else reads just now. It may have begun before what we look for was stored, so look ourselves after it.
      await this.fetching.catch(() => {});
      const fetched = this.known(after);
      if (fetched !== null && fetched.length > 0) return { events: fetched, more: true };
    }
    return this.fetchAfter(after);
  }

  private async fetchAfter(after: bigint): Promise<Fresh | null> {
    const fetching = this.fetch(after, FETCH);
    this.fetching = fetching;
    try {
      const fetched = await fetching;
      if (!isGapless(after, fetched.events)) return null;
      this.keep(after, fetched);
      return { events: fetched.events, more: fetched.events.length === FETCH };
    } finally {
      if (this.fetching === fetching) this.fetching = null;
    }
  }

  /** Nothing is known before the first page, and nothing is missing after the last one but what is new. */
  private known(after: bigint): readonly Recorded[] | null {
    const [first] = this.pages;
    if (first === undefined || after >= this.end) return [];
    if (after < first.from) return null;
    return this.pages
      .filter(({ to }) => to > after)
      .flatMap(({ events }) => events.filter(({ position }) => position > after));
  }

  private keep(from: bigint, { events, bytes }: Fetched): void {
    const to = events.at(-1)?.position;
    if (to === undefined || to <= this.end) return;
    const page = { from, to, events, bytes };
    this.pages = trimmed(from === this.end ? [...this.pages, page] : [page]);
  }

  private get end(): bigint {
    return this.pages.at(-1)?.to ?? 0n;
  }
}

const isGapless = (after: bigint, events: readonly Recorded[]): boolean =>
  (events.at(-1)?.position ?? after) - after === BigInt(events.length);

/** Without the oldest that are too many. */
function trimmed(pages: readonly Page[]): readonly Page[] {
  let events = 0;
  let bytes = 0;
  const kept = pages.toReversed().filter((page) => {
    events += page.events.length;
    bytes += page.bytes;
    return events <= MAX_EVENTS && bytes <= MAX_BYTES;
  });
  return kept.toReversed();
}
