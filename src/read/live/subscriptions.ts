import { GraphQLError } from 'graphql';

import type { EventStore } from '../../event-store/event-store.ts';
import type { Recorded } from '../../events/event.ts';
import { isJobEvent } from '../../events/job.ts';
import { evolveJobView, type JobView } from '../../events/job-view.ts';
import { backoffMs, pause } from '../../platform/backoff.ts';
import { foldJob } from '../job-history.ts';
import type { LiveItem } from './feed.ts';
import type { LiveLog } from './live-log.ts';

const BACKFILL_PAGE = 500;

type Source = Readonly<{
  live: LiveLog;
  store: EventStore;
  /** The first position that can still be read; 0 for an empty log. */
  oldestPosition: () => Promise<bigint>;
}>;

/**
 * The job as it is, then again after each of its events, none missed between the two; ends after a final one.
 * A subscriber that is too slow is given the job as it is then.
 */
export async function* followJob(
  { live, store }: Omit<Source, 'oldestPosition'>,
  { id: jobId, progress }: Readonly<{ id: string; progress: boolean }>,
  signal: AbortSignal,
): AsyncGenerator<JobView> {
  const feed = live.open({ jobId, progress });
  try {
    const found = await persistently(() => foldJob(store, jobId), signal);
    if (found === null) throw notFound(jobId);
    let view = found;
    yield view;
    while (!isFinal(view) && !signal.aborted) {
      const items = await feed.take(signal);
      const views: readonly JobView[] =
        items === 'missed'
          ? await persistently(() => newer(store, view), signal)
          : viewsAfter(view, items);
      yield* views;
      // Its progress is not part of the view.
      if (views.length === 0 && hasProgressed(items)) yield view;
      view = views.at(-1) ?? view;
    }
  } finally {
    feed.close();
  }
}

const hasProgressed = (items: readonly LiveItem[] | 'missed'): boolean =>
  items !== 'missed' && items.some(({ event }) => event === null);

/** The job as it is now, if it has changed since. */
async function newer(store: EventStore, view: JobView): Promise<readonly JobView[]> {
  const now = await foldJob(store, view.id);
  return now === null || now.version <= view.version ? [] : [now];
}

/** The view after each of the events that it has not seen, up to the one that ends the job. */
function viewsAfter(view: JobView, items: readonly LiveItem[]): readonly JobView[] {
  const views: JobView[] = [];
  for (const { event } of items) {
    const before = views.at(-1) ?? view;
    if (event === null || isFinal(before)) continue;
    if (event.version > before.version && isJobEvent(event)) {
      views.push(evolveJobView(before, event));
    }
  }
  return views;
}

const isFinal = ({ finishedAt }: JobView): boolean => finishedAt !== null;

/** Every job that `matches` lets through, after each of its events from now on. */
export async function* followJobs(
  { live }: Source,
  { matches, progress }: Readonly<{ matches: (view: JobView) => boolean; progress: boolean }>,
  signal: AbortSignal,
): AsyncGenerator<JobView> {
  const feed = live.open({ views: true, progress });
  try {
    while (!signal.aborted) yield* viewsOf(await feed.take(signal)).filter(matches);
  } finally {
    feed.close();
  }
}

function viewsOf(items: readonly LiveItem[] | 'missed'): readonly JobView[] {
  if (items === 'missed') throw lagging();
  return items.flatMap(({ view }) => (view === null ? [] : [view]));
}

/**
 * The log from just after a position, gapless and in order: what was missed first, then what comes. A subscriber
 * that is too slow is served from the log again until it has caught up, so it misses nothing either.
 */
export async function* followLog(
  { live, store, oldestPosition }: Source,
  range: Readonly<{ after: bigint | null; types: readonly string[] | null; jobId: string | null }>,
  signal: AbortSignal,
): AsyncGenerator<Recorded> {
  const feed = live.open(range);
  try {
    if (range.after !== null) await persistently(() => assertKept(oldestPosition, range), signal);
    let last = range.after ?? (await persistently(() => store.head(), signal));
    let behind = range.after !== null;
    while (!signal.aborted) {
      const events = behind
        ? await persistently(() => backfill(store, { ...range, after: last }), signal)
        : await take(feed.take(signal));
      behind = events === 'missed' || (behind && events.length > 0);
      if (events === 'missed') continue;
      const fresh = events.filter(({ position }) => position > last);
      yield* fresh;
      last = fresh.at(-1)?.position ?? last;
    }
  } finally {
    feed.close();
  }
}

async function take(
  taken: Promise<readonly LiveItem[] | 'missed'>,
): Promise<readonly Recorded[] | 'missed'> {
  const items = await taken;
  return items === 'missed' ? items : items.flatMap(({ event }) => event ?? []);
}

/** The next page of what was missed; empty when the end of the log is reached. */
async function backfill(
  store: EventStore,
  {
    after,
    types,
    jobId,
  }: Readonly<{ after: bigint; types: readonly string[] | null; jobId: string | null }>,
): Promise<readonly Recorded[]> {
  if (jobId === null) {
    return store.readAll({ after, limit: BACKFILL_PAGE, ...(types ? { types } : {}) });
  }
  const events = await store.readStream(jobId);
  return events.filter(
    ({ position, type }) => position > after && (types === null || types.includes(type)),
  );
}

/** Reads again while the database is away: the subscriber is late then, but misses nothing. */
async function persistently<T>(read: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await read();
    } catch (error) {
      if (signal.aborted || error instanceof GraphQLError) throw error;
      await pause(backoffMs(failures), signal);
    }
  }
}

/** Throws `RESET_REQUIRED` for a place from which the log can no longer be read without a gap. */
export async function assertKept(
  oldestPosition: () => Promise<bigint>,
  { after }: Readonly<{ after: bigint | null }>,
): Promise<void> {
  const oldest = await oldestPosition();
  if (after === null || after + 1n >= oldest) return;
  throw new GraphQLError(
    `The log begins at position ${String(oldest)}: what came after ${String(after)} is no longer kept. Read what you need anew, and follow from there`,
    { extensions: { code: 'RESET_REQUIRED', oldestPosition: String(oldest) } },
  );
}

const notFound = (jobId: string): GraphQLError =>
  new GraphQLError(`There is no job ${jobId}`, { extensions: { code: 'NOT_FOUND' } });

const lagging = (): GraphQLError =>
  new GraphQLError('This subscription was too slow and has missed updates: subscribe again', {
    extensions: { code: 'LAGGING' },
  });

/**
 * Starts a stream that ends as soon as its reader goes: without this, a generator that waits for the next event
 * would keep its feed until one comes.
 */
export function endable<T>(
  start: (signal: AbortSignal) => AsyncGenerator<T>,
): AsyncIterableIterator<T> {
  const controller = new AbortController();
  const stream = start(controller.signal);
  return {
    next: () => stream.next(),
    return: () => {
      controller.abort();
      return stream.return(undefined);
    },
    throw: (error: unknown) => {
      controller.abort();
      return stream.throw(error);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
