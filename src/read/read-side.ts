import { GraphQLError } from 'graphql';

import type { EventStore } from '../event-store/event-store.ts';
import type { JobView } from '../events/job-view.ts';
import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { findDelivery } from './deliveries.ts';
import { foldJob, toApiEvent } from './job-history.ts';
import { toApiJobWithSteps } from './job.ts';
import type { LiveLog } from './live/live-log.ts';

export type QueueDepth = Readonly<{
  name: string;
  ready: number | null;
  unacknowledged: number | null;
  consumers: number | null;
}>;

export type DeadLetter = Readonly<{
  messageId: string;
  queue: string | null;
  routingKey: string;
  reason: string;
  diedAt: Date | null;
  body: string;
}>;

/** What the API's queries and subscriptions are answered from. */
export class ReadSide {
  readonly database: Queryable;
  readonly store: EventStore;
  readonly live: LiveLog;
  readonly queues: () => Promise<readonly QueueDepth[]>;
  /** The oldest. */
  readonly deadLetters: (limit: number) => Promise<readonly DeadLetter[]>;
  /** The first position that can still be read; 0 for an empty log. */
  readonly oldestPosition: () => Promise<bigint>;
  private readonly waitForJobs: (position: bigint) => Promise<boolean>;

  constructor(
    parts: Readonly<{
      /** May be a replica. */
      database: Queryable;
      store: EventStore;
      live: LiveLog;
      queues: () => Promise<readonly QueueDepth[]>;
      deadLetters: (limit: number) => Promise<readonly DeadLetter[]>;
      oldestPosition: () => Promise<bigint>;
      /** Resolves to whether the list of jobs has seen the log up to `position`, after a while at the most. */
      waitForJobs: (position: bigint) => Promise<boolean>;
    }>,
  ) {
    this.database = parts.database;
    this.store = parts.store;
    this.live = parts.live;
    this.queues = parts.queues;
    this.deadLetters = parts.deadLetters;
    this.oldestPosition = parts.oldestPosition;
    this.waitForJobs = parts.waitForJobs;
  }

  /** Resolves once lists show what was written at `position`; throws `STALE_READ` after two seconds. */
  async caughtUp(position: bigint | null | undefined): Promise<void> {
    if (position === null || position === undefined) return;
    const seen = await this.waitForJobs(position);
    if (seen) return;
    throw new GraphQLError(
      `The list has not seen position ${String(position)} yet: ask again, or without minPosition`,
      { extensions: { code: 'STALE_READ' } },
    );
  }

  job(id: string, at?: bigint | null): Promise<JobView | null> {
    return foldJob(this.store, id, at);
  }

  /** Whatever has this id: a job, a delivery, or an event. */
  async node(id: string): Promise<object | null> {
    const job = await this.job(id);
    if (job !== null) return toApiJobWithSteps(job);
    return (await findDelivery(this.database, id)) ?? (await this.event(id));
  }

  private async event(id: string): Promise<object | null> {
    const [row] = await this.database.query<{ position: string }>(
      sql`select position::text as position from log.all_events where event_id::text = ${id}`,
    );
    if (row === undefined) return null;
    const [event] = await this.store.readAll({ after: BigInt(row.position) - 1n, limit: 1 });
    return event === undefined ? null : toApiEvent(event);
  }
}
