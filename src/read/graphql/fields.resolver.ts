import { Inject } from '@nestjs/common';
import { Args, Context, Info, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { type GraphQLResolveInfo, OperationTypeNode } from 'graphql';

import {
  type ApiDelivery,
  countDeliveries,
  type DeliveryFilter,
  deliveryBody,
  findDelivery,
} from '../deliveries.ts';
import { type ApiJob, type ApiStep, toApiJobWithSteps, withRunning } from '../job.ts';
import type { JobFilter } from '../job-filter.ts';
import { type ApiEvent, jobHistory } from '../job-history.ts';
import { countJobs } from '../job-list.ts';
import type { ApiProgress } from '../job-steps.ts';
import type { Connection } from '../page.ts';
import { ReadSide } from '../read-side.ts';
import type { ApiContext } from './context.ts';
import type { Counted } from './query.resolver.ts';

/** The fields that are fetched only when they are asked for. */
@Resolver('Job')
export class JobFieldsResolver {
  constructor(@Inject(ReadSide) private readonly read: ReadSide) {}

  /** Those that have ended; of a job as it is now also those that run. */
  @ResolveField('steps')
  async steps(
    @Parent() job: ApiJob,
    @Context() context: ApiContext,
    @Info() { operation }: GraphQLResolveInfo,
  ): Promise<readonly ApiStep[]> {
    const ended = job.steps ?? (await context.steps.load(job.id));
    // A subscription follows the log, and what runs is not in it.
    const isNow = job.isPast !== true && operation.operation !== OperationTypeNode.SUBSCRIPTION;
    if (job.status !== 'RUNNING' || !isNow) return ended;
    return withRunning(ended, await context.runningSteps.load(job.id), job.attempt);
  }

  @ResolveField('progress')
  progress(@Parent() job: ApiJob, @Context() context: ApiContext): Promise<ApiProgress | null> {
    return context.progress.load(job.id);
  }

  @ResolveField('history')
  history(
    @Parent() job: ApiJob,
    @Args() args: Readonly<{ first: number; after?: string | null }>,
  ): Promise<Connection<ApiEvent>> {
    return jobHistory(this.read.store, job.id, args);
  }
}

@Resolver('JobConnection')
export class JobConnectionResolver {
  constructor(@Inject(ReadSide) private readonly read: ReadSide) {}

  @ResolveField('totalCount')
  totalCount(@Parent() { filter }: Counted<ApiJob, JobFilter>): Promise<number> {
    return countJobs(this.read.database, filter);
  }
}

@Resolver('Delivery')
export class DeliveryFieldsResolver {
  constructor(@Inject(ReadSide) private readonly read: ReadSide) {}

  @ResolveField('body')
  body(@Parent() delivery: ApiDelivery): Promise<string> {
    return deliveryBody(this.read.database, delivery);
  }

  @ResolveField('jobs')
  async jobs(@Parent() { jobIds }: ApiDelivery): Promise<readonly ApiJob[]> {
    const views = await Promise.all(jobIds.map((id) => this.read.job(id)));
    return views.filter((view) => view !== null).map(toApiJobWithSteps);
  }
}

@Resolver('DeliveryConnection')
export class DeliveryConnectionResolver {
  constructor(@Inject(ReadSide) private readonly read: ReadSide) {}

  @ResolveField('totalCount')
  totalCount(@Parent() { filter }: Counted<ApiDelivery, DeliveryFilter>): Promise<number> {
    return countDeliveries(this.read.database, filter);
  }
}

/** A mutation answers with the job's id; how the job looks now is read from the log. */
@Resolver('JobPayload')
export class JobPayloadResolver {
  constructor(@Inject(ReadSide) private readonly read: ReadSide) {}

  @ResolveField('job')
  async job(@Parent() { jobId }: Readonly<{ jobId: string | null }>): Promise<ApiJob | null> {
    const view = jobId === null ? null : await this.read.job(jobId);
    return view === null ? null : toApiJobWithSteps(view);
  }
}

type RedeliveryParent = Readonly<{ deliveryRowId: string | null; jobIds: readonly string[] }>;

@Resolver('DeliveryPayload')
export class DeliveryPayloadResolver {
  constructor(@Inject(ReadSide) private readonly read: ReadSide) {}

  @ResolveField('delivery')
  delivery(@Parent() { deliveryRowId }: RedeliveryParent): Promise<ApiDelivery | null> | null {
    return deliveryRowId === null ? null : findDelivery(this.read.database, deliveryRowId);
  }

  @ResolveField('jobs')
  async jobs(@Parent() { jobIds }: RedeliveryParent): Promise<readonly ApiJob[]> {
    const views = await Promise.all(jobIds.map((id) => this.read.job(id)));
    return views.filter((view) => view !== null).map(toApiJobWithSteps);
  }
}
