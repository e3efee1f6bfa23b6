import { Inject } from '@nestjs/common';
import { Args, Query, Resolver } from '@nestjs/graphql';

import {
  type ApiDelivery,
  type DeliveryFilter,
  findDelivery,
  listDeliveries,
} from '../deliveries.ts';
import { type ApiJob, toApiJobWithSteps } from '../job.ts';
import type { JobFilter } from '../job-filter.ts';
import { type ApiEvent, logPage } from '../job-history.ts';
import { type JobOrder, listJobs } from '../job-list.ts';
import { type JobStats, jobStats, type StatsArguments } from '../job-stats.ts';
import { type ApiProjection, type ApiWorker, listProjections, listWorkers } from '../operations.ts';
import { assertKept } from '../live/subscriptions.ts';
import type { Connection, PageArguments } from '../page.ts';
import { type QueueDepth, ReadSide } from '../read-side.ts';

type JobsArguments = PageArguments &
  Readonly<{ filter?: JobFilter | null; orderBy: JobOrder; minPosition?: bigint | null }>;

/** A connection that can count, if it is asked to. */
export type Counted<Node, Filter> = Connection<Node> & Readonly<{ filter: Filter | null }>;

@Resolver()
export class QueryResolver {
  constructor(@Inject(ReadSide) private readonly read: ReadSide) {}

  @Query('node')
  node(@Args('id') id: string): Promise<object | null> {
    return this.read.node(id);
  }

  /** Folded from the log, so it has seen every position that was ever given out. */
  @Query('job')
  async job(
    @Args('id') id: string,
    @Args('at') at: bigint | null | undefined,
  ): Promise<ApiJob | null> {
    const view = await this.read.job(id, at);
    const isPast = at !== null && at !== undefined;
    return view === null ? null : { ...toApiJobWithSteps(view), isPast };
  }

  @Query('jobs')
  async jobs(@Args() args: JobsArguments): Promise<Counted<ApiJob, JobFilter>> {
    await this.read.caughtUp(args.minPosition);
    return { ...(await listJobs(this.read.database, args)), filter: args.filter ?? null };
  }

  @Query('jobStats')
  jobStats(@Args() args: StatsArguments): Promise<JobStats> {
    return jobStats(this.read.database, args, new Date());
  }

  @Query('events')
  async events(
    @Args() args: Readonly<{ after?: bigint; types?: readonly string[]; first: number }>,
  ): Promise<Connection<ApiEvent>> {
    await assertKept(this.read.oldestPosition, { after: args.after ?? null });
    return logPage(this.read.store, args);
  }

  @Query('delivery')
  delivery(@Args('id') id: string): Promise<ApiDelivery | null> {
    return findDelivery(this.read.database, id);
  }

  @Query('deliveries')
  async deliveries(
    @Args() args: PageArguments & Readonly<{ filter?: DeliveryFilter | null }>,
  ): Promise<Counted<ApiDelivery, DeliveryFilter>> {
    return { ...(await listDeliveries(this.read.database, args)), filter: args.filter ?? null };
  }

  @Query('projections')
  projections(): Promise<readonly ApiProjection[]> {
    return listProjections(this.read.database);
  }

  @Query('queues')
  queues(): Promise<readonly QueueDepth[]> {
    return this.read.queues();
  }

  @Query('workers')
  workers(): Promise<readonly ApiWorker[]> {
    return listWorkers(this.read.database);
  }
}
