import { Inject } from '@nestjs/common';
import { Args, Context, Mutation, Resolver } from '@nestjs/graphql';

import { Operations, type ScheduleName } from './ports.ts';
import { type UserError, userError } from './refusals.ts';
import { type MutationContext, requireRole } from './require-role.ts';

/** The read side makes the schedule of it. */
type SchedulePayload = Readonly<{ of: ScheduleName | null; errors: readonly UserError[] }>;

const MAX_REDRIVEN = 10_000;

@Resolver()
export class OperationMutationsResolver {
  constructor(@Inject(Operations) private readonly operations: Operations) {}

  @Mutation('pauseSchedule')
  async pauseSchedule(
    @Args() { workflow, name }: ScheduleName,
    @Context() context: MutationContext,
  ): Promise<SchedulePayload> {
    const actor = requireRole(context, 'operator');
    const found = await this.operations.pauseSchedule({ workflow, name }, actor);
    return payload({ workflow, name }, found);
  }

  @Mutation('resumeSchedule')
  async resumeSchedule(
    @Args() { workflow, name }: ScheduleName,
    @Context() context: MutationContext,
  ): Promise<SchedulePayload> {
    requireRole(context, 'operator');
    const found = await this.operations.resumeSchedule({ workflow, name });
    return payload({ workflow, name }, found);
  }

  @Mutation('redriveDeadLetters')
  async redriveDeadLetters(
    @Args('limit') limit: number,
    @Context() context: MutationContext,
  ): Promise<Readonly<{ redriven: number; errors: readonly UserError[] }>> {
    requireRole(context, 'operator');
    if (limit < 1 || limit > MAX_REDRIVEN) {
      const error = userError('invalid', `limit is 1 to ${String(MAX_REDRIVEN)}`, ['limit']);
      return { redriven: 0, errors: [error] };
    }
    return { redriven: await this.operations.redrive(limit), errors: [] };
  }
}

const payload = (schedule: ScheduleName, found: boolean): SchedulePayload =>
  found
    ? { of: schedule, errors: [] }
    : {
        of: null,
        errors: [
          userError(
            'schedule-not-found',
            'There is no such schedule: the query schedules has all',
            ['name'],
          ),
        ],
      };
