import { Inject } from '@nestjs/common';
import { Args, Context, Info, Resolver, Subscription } from '@nestjs/graphql';
import { type GraphQLResolveInfo, visit } from 'graphql';

import { type ApiJob, toApiJobWithSteps } from '../job.ts';
import { type JobFilter, jobMatcher } from '../job-filter.ts';
import { type ApiEvent, toApiEvent } from '../job-history.ts';
import { type JobStats, jobStats } from '../job-stats.ts';
import { endable, followJob, followJobs, followLog } from '../live/subscriptions.ts';
import { followStats } from '../live/stats.ts';
import { ReadSide } from '../read-side.ts';
import type { ApiContext } from './context.ts';

type Stream<Name extends string, T> = AsyncIterableIterator<Readonly<Record<Name, T>>>;

/** The events of a stream under the name of the subscription's field, as GraphQL wants them. */
async function* named<Name extends string, From, To>(
  name: Name,
  stream: AsyncIterable<From>,
  shape: (value: From) => To,
): AsyncGenerator<Readonly<Record<Name, To>>> {
  // TypeScript widens a computed key to `string`.
  for await (const value of stream) yield { [name]: shape(value) } as Record<Name, To>;
}

@Resolver()
export class SubscriptionResolver {
  constructor(@Inject(ReadSide) private readonly read: ReadSide) {}

  @Subscription('jobUpdated')
  jobUpdated(
    @Args('id') id: string,
    @Info() info: GraphQLResolveInfo,
  ): Stream<'jobUpdated', ApiJob> {
    const progress = wantsProgress(info);
    return endable((signal) =>
      named('jobUpdated', followJob(this.read, { id, progress }, signal), toApiJobWithSteps),
    );
  }

  @Subscription('jobsUpdated')
  jobsUpdated(
    @Args('filter') filter: JobFilter | null | undefined,
    @Info() info: GraphQLResolveInfo,
  ): Stream<'jobsUpdated', ApiJob> {
    const wanted = { matches: jobMatcher(filter), progress: wantsProgress(info) };
    return endable((signal) =>
      named('jobsUpdated', followJobs(this.read, wanted, signal), toApiJobWithSteps),
    );
  }

  @Subscription('jobEvents')
  jobEvents(
    @Args() args: JobEventsArguments,
    @Context() { place }: ApiContext,
  ): Stream<'jobEvents', ApiEvent> {
    const { types = null, jobId = null } = args;
    const after = place.resumeAfter ?? args.after ?? null;
    return endable((signal) =>
      named('jobEvents', followLog(this.read, { after, types, jobId }, signal), (event) => {
        place.given = event.position;
        return toApiEvent(event);
      }),
    );
  }

  @Subscription('jobStatsUpdated')
  jobStatsUpdated(
    @Args('filter') filter: JobFilter | null | undefined,
  ): Stream<'jobStatsUpdated', JobStats> {
    const measure = (): Promise<JobStats> =>
      jobStats(this.read.database, { filter: filter ?? null }, new Date());
    return endable((signal) =>
      named('jobStatsUpdated', followStats(this.read, measure, signal), (stats) => stats),
    );
  }
}

/** Whoever does not ask for a job's progress is not told each time that it changes. */
function wantsProgress({ operation, fragments }: GraphQLResolveInfo): boolean {
  let found = false;
  const Field = ({ name }: Readonly<{ name: Readonly<{ value: string }> }>): void => {
    found ||= name.value === 'progress';
  };
  for (const node of [operation, ...Object.values(fragments)]) visit(node, { Field });
  return found;
}

type JobEventsArguments = Readonly<{
  after?: bigint | null;
  types?: readonly string[] | null;
  jobId?: string | null;
}>;
