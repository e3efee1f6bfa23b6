import type { EventStore } from '../../event-store/event-store.ts';
import type { LogHints } from '../../event-store/log-hints.ts';
import { tail } from '../../event-store/tail.ts';
import type { Recorded } from '../../events/event.ts';
import { isJobEvent, type JobEvent } from '../../events/job.ts';
import { evolveJobView, type JobView } from '../../events/job-view.ts';
import { SUBJECT_FORGOTTEN } from '../../events/subject.ts';
import { backoffMs, pause } from '../../platform/backoff.ts';
import type { Logger } from '../../platform/logger.ts';
import { foldJob } from '../job-history.ts';
import { Feed, type LiveItem } from './feed.ts';

const CACHED_VIEWS = 5_000;

export type FeedOptions = Readonly<{
  jobId?: string | null;
  types?: readonly string[] | null;
  /** Whether each item has to come with the job's view after the event. */
  views?: boolean;
  /** Whether it is to hear of progress, too. */
  progress?: boolean;
}>;

/** The end of the log, followed once for the whole process and fanned out to every subscriber in memory. */
export class LiveLog {
  private readonly feeds = new Set<Feed>();
  private readonly feedsOfJob = new Map<string, Set<Feed>>();
  private readonly views = new Map<string, JobView>();
  private viewsWanted = 0;
  private progressWanted = 0;

  constructor(
    private readonly parts: Readonly<{ store: EventStore; hints: LogHints; logger: Logger }>,
  ) {}

  /** How many subscribers there are. */
  get subscribers(): number {
    let count = this.feeds.size;
    for (const feeds of this.feedsOfJob.values()) count += feeds.size;
    return count;
  }

  /** Whether anybody is to hear of progress. */
  get wantsProgress(): boolean {
    return this.progressWanted > 0;
  }

  /** Tells those who asked for it that a job has said how far it is. */
  async progressed(jobId: string): Promise<void> {
    const known = this.views.get(jobId);
    const view = known ?? (this.viewsWanted > 0 ? await foldJob(this.parts.store, jobId) : null);
    const item: LiveItem = { event: null, view, bytes: 0 };
    if (view !== null) for (const feed of this.feeds) feed.push(item);
    for (const feed of this.feedsOfJob.get(jobId) ?? []) feed.push(item);
  }

  async run(signal: AbortSignal, after: bigint): Promise<void> {
    const { store, hints, logger } = this.parts;
    try {
      for await (const page of tail({ store, hints, logger, after }, signal)) {
        await this.fanOut(page, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** What comes from now on, until `close`. */
  open({
    jobId,
    types,
    views = false,
    progress = false,
  }: FeedOptions): Feed & Readonly<{ close: () => void }> {
    const wanted = types ? new Set(types) : null;
    const feed = new Feed(({ event, view }) =>
      event === null ? progress : views ? view !== null : (wanted?.has(event.type) ?? true),
    );
    const feeds = typeof jobId === 'string' ? this.feedsFor(jobId) : this.feeds;
    feeds.add(feed);
    if (views) this.viewsWanted++;
    if (progress) this.progressWanted++;
    const close = (): void => {
      if (!feeds.delete(feed)) return;
      if (progress) this.progressWanted--;
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

  private async fanOut(page: readonly Recorded[], signal: AbortSignal): Promise<void> {
    for (const event of page) {
      // What was folded before has the name still.
      if (event.type === SUBJECT_FORGOTTEN) this.views.clear();
      const view =
        this.viewsWanted > 0 && isJobEvent(event) ? await this.viewAfter(event, signal) : null;
      const ofJob = this.feedsOfJob.get(event.streamId);
      if (this.feeds.size === 0 && ofJob === undefined) continue;
      const item: LiveItem = { event, view, bytes: JSON.stringify(event.data).length };
      for (const feed of this.feeds) feed.push(item);
      for (const feed of ofJob ?? []) feed.push(item);
    }
  }

  private async viewAfter(event: Recorded<JobEvent>, signal: AbortSignal): Promise<JobView> {
    const { streamId: jobId } = event;
    const before = this.views.get(jobId) ?? (await this.viewBefore(event, signal));
    const view = evolveJobView(before, event);
    this.views.delete(jobId);
    this.views.set(jobId, view);
    const [oldest] = this.views.keys();
    if (this.views.size > CACHED_VIEWS && oldest !== undefined) this.views.delete(oldest);
    return view;
  }

  /** Waits for the database as long as it is away: a subscriber is late then, but misses nothing. */
  private async viewBefore(
    { streamId, version }: Recorded<JobEvent>,
    signal: AbortSignal,
  ): Promise<JobView | null> {
    if (version === 1) return null;
    for (let failures = 1; ; failures++) {
      try {
        const events = await this.parts.store.readStream<JobEvent>(streamId, { to: version - 1 });
        return events.reduce<JobView | null>(evolveJobView, null);
      } catch (error) {
        if (signal.aborted) throw error;
        this.parts.logger.warn({ err: error }, 'live views wait for the database');
        await pause(backoffMs(failures), signal);
      }
    }
  }
}
