import type { EventStore } from '../event-store/event-store.ts';
import type { Recorded } from '../events/event.ts';
import { isJobEvent } from '../events/job.ts';
import { evolveJobView, type JobView } from '../events/job-view.ts';
import { checkedSize, type Connection, connection, encodeCursor, readPage } from './page.ts';

/**
 * The job as its events say, up to `at` (a place in the log) or up to now; null for an unknown job, and for
 * one that was requested after `at`. Reads the log itself, so it never lags.
 */
export async function foldJob(
  store: EventStore,
  jobId: string,
  at?: bigint | null,
): Promise<JobView | null> {
  const events = await store.readStream(jobId);
  let view: JobView | null = null;
  for (const event of events) {
    if (at !== undefined && at !== null && event.position > at) break;
    if (isJobEvent(event)) view = evolveJobView(view, event);
  }
  return view;
}

/** An event of the log in the shape of the API. */
export type ApiEvent = ReturnType<typeof toApiEvent>;

// The answer's shape is the schema's; spelling it out a second time would only be able to be wrong.
// oxlint-disable-next-line typescript/explicit-module-boundary-types
export function toApiEvent(event: Recorded) {
  return {
    __typename: 'JobEvent' as const,
    id: event.id,
    position: event.position,
    jobId: event.streamId,
    version: event.version,
    type: event.type,
    data: event.data,
    causationId: event.metadata.causationId ?? null,
    correlationId: event.metadata.correlationId ?? null,
    recordedAt: event.recordedAt,
  };
}

/** A page of a job's events by version. */
export async function jobHistory(
  store: EventStore,
  jobId: string,
  args: Readonly<{ first: number; after?: string | null }>,
): Promise<Connection<ApiEvent>> {
  const page = readPage(args, 'history', 50);
  const from = page.cursor === null ? 1 : Number(page.cursor.value) + 1;
  const events = await store.readStream(jobId, { from, limit: page.size + 1 });
  return connection(events, page, {
    cursorOf: ({ version, id }) => encodeCursor('history', { value: String(version), id }),
    nodeOf: toApiEvent,
  });
}

/** A page of the log from just after a position. Its cursors are positions. */
export async function logPage(
  store: EventStore,
  {
    after,
    types,
    first,
  }: Readonly<{ after?: bigint | null; types?: readonly string[] | null; first: number }>,
): Promise<Connection<ApiEvent>> {
  const page = { size: checkedSize(first), cursor: null, backwards: false };
  const events = await store.readAll({
    after: after ?? 0n,
    limit: first + 1,
    ...(types ? { types } : {}),
  });
  return connection(events, page, {
    cursorOf: ({ position }) => String(position),
    nodeOf: toApiEvent,
  });
}
