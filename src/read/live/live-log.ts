import type { EventStore } from '../../event-store/event-store.ts';
import type { LogHints } from '../../event-store/log-hints.ts';
import { tail } from '../../event-store/tail.ts';
import type { Recorded } from '../../events/event.ts';
import { isJobEvent, type JobEvent } from '../../events/job.ts';
import { evolveJobView, type JobView } from '../../events/job-view.ts';
import type { Logger } from '../../platform/logger.ts';
import { Feed, type LiveItem } from './feed.ts';

/** An event is about 1 KB in memory; a subscriber may hold as many as this before it starts to miss some. */
const FEED_CAPACITY = 256;
const CACHED_VIEWS = 5_000;

export type FeedOptions = Readonly<{
  jobId?: string | null;
  types?: readonly string[] | null;
  /** Whether each item has to come with the job's view after the event. */
  views?: boolean;
}>;

/** The end of the log, followed once for the whole process and fanned out to every subscriber in memory. */
export class LiveLog {
  private readonly feeds = new Set<Feed>();
  private readonly feedsOfJob = new Map<string, Set<Feed>>();
  private readonly views = new Map<string, JobView>();
  private viewsWanted = 0;

  constructor(
    private readonly parts: Readonly<{ store: EventStore; hints: LogHints; logger: Logger }>,
  ) {}

  /** How many subscribers there are. */
  get subscribers(): number {
    let count = this.feeds.size;
    for (const feeds of this.feedsOfJob.values()) count += feeds.size;
    return count;
  }

  async run(signal: AbortSignal, after: bigint): Promise<void> {
    const { store, hints, logger } = this.parts;
    for await (const page of tail({ store, hints, logger, after }, signal)) await this.fanOut(page);
  }

  /** What comes from now on, until `close`. */
  open({ jobId, types, views = false }: FeedOptions): Feed & Readonly<{ close: () => void }> {
    const wanted = types ? new Set(types) : null;
    const feed = new Feed(FEED_CAPACITY, ({ event, view }) =>
      views ? view !== null : (wanted?.has(event.type) ?? true),
    );
    const feeds = typeof jobId === 'string' ? this.feedsFor(jobId) : this.feeds;
    feeds.add(feed);
    if (views) this.viewsWanted++;
    const close = (): void => {
      if (!feeds.delete(feed)) return;
      if (typeof jobId === 'string' && feeds.size === 0) this.feedsOfJob.delete(jobId);
      // Views that are not kept up any more would be wrong the next time they are wanted.
      if (views && --this.viewsWanted === 0) this.views.clear();
    };
    return Object.assign(feed, { close });
  }

  private feedsFor(jobId: string): Set<Feed> {
    const feeds = this.feedsOfJob.get(jobId) ?? new Set();
    this.feedsOfJob.set(jobId, feeds);
    return feeds;
  }

  private async fanOut(page: readonly Recorded[]): Promise<void> {
    for (const event of page) {
      const view = this.viewsWanted > 0 && isJobEvent(event) ? await this.viewAfter(event) : null;
      const item: LiveItem = { event, view };
      for (const feed of this.feeds) feed.push(item);
      for (const feed of this.feedsOfJob.get(event.streamId) ?? []) feed.push(item);
    }
  }

  private async viewAfter(event: Recorded<JobEvent>): Promise<JobView | null> {
    try {
      const before = this.views.get(event.streamId) ?? (await this.viewBefore(event));
      const view = evolveJobView(before, event);
      this.views.delete(event.streamId);
      this.views.set(event.streamId, view);
      const [oldest] = this.views.keys();
      if (this.views.size > CACHED_VIEWS && oldest !== undefined) this.views.delete(oldest);
      return view;
    } catch (error) {
      this.parts.logger.error(
        { err: error, jobId: event.streamId },
        'a live view could not be made',
      );
      this.views.delete(event.streamId);
      return null;
    }
  }

  private async viewBefore(event: Recorded<JobEvent>): Promise<JobView | null> {
    if (event.version === 1) return null;
    const events = await this.parts.store.readStream<JobEvent>(event.streamId, {
      to: event.version - 1,
    });
    return events.reduce<JobView | null>(evolveJobView, null);
  }
}
