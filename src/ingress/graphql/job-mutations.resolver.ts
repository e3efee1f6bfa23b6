import { Inject } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { Args, Context, Mutation, Resolver } from '@nestjs/graphql';

import type { Json } from '../../events/event.ts';
import { derivedId, newId } from '../../platform/ids.ts';
import { DecideJob, type Door } from '../../write/door.ts';
import type { JobCommand } from '../../write/job/commands.ts';
import { Planner } from './ports.ts';
import { toUserError, type UserError, userError } from './refusals.ts';
import { manualTrigger, type RequestJobInput } from './request-job.ts';
import { type MutationContext, requireRole } from './require-role.ts';

/** The read side makes the job of it. */
type JobPayload = Readonly<{
  jobId: string | null;
  position: bigint | null;
  errors: readonly UserError[];
}>;

type OneJob = Readonly<{ id: string; expectedVersion?: number | null }>;

/** Asks about one job: each mutation is one command. */
@Resolver()
export class JobMutationsResolver {
  constructor(
    @Inject(CommandBus) private readonly door: Door,
    @Inject(Planner) private readonly planner: Planner,
  ) {}

  @Mutation('requestJob')
  async requestJob(
    @Args('input') input: RequestJobInput,
    @Context() context: MutationContext,
  ): Promise<JobPayload> {
    const actor = requireRole(context, 'operator');
    const { idempotencyKey } = input;
    const jobId = idempotencyKey ? derivedId('manual', idempotencyKey) : newId();
    const trigger = manualTrigger(input, { deliveryId: idempotencyKey ?? jobId, sender: actor });
    const planned = this.planner.planOf(input.workflow, trigger);
    if (planned === null) {
      const known = this.planner.names().join(', ');
      return refused(
        userError('workflow-not-found', `The workflows are: ${known}`, ['input', 'workflow']),
      );
    }
    const priority = input.priority ?? planned.priority;
    if (priority < 0 || priority > 9) {
      return refused(userError('invalid', 'priority is 0 to 9', ['input', 'priority']));
    }
    const data = { ...planned, priority, trigger, input: input.input ?? null, deliveryId: null };
    return this.decide({ id: jobId }, { type: 'RequestJob', at: new Date(), data }, actor);
  }

  @Mutation('cancelJob')
  cancelJob(
    @Args() args: OneJob & Readonly<{ reason?: string | null }>,
    @Context() context: MutationContext,
  ): Promise<JobPayload> {
    const actor = requireRole(context, 'operator');
    const data = { reason: args.reason ?? null };
    return this.decide(args, { type: 'CancelJob', at: new Date(), data }, actor);
  }

  @Mutation('retryJob')
  retryJob(
    @Args() args: OneJob & Readonly<{ fromStep?: string | null }>,
    @Context() context: MutationContext,
  ): Promise<JobPayload> {
    const actor = requireRole(context, 'operator');
    const data = { fromStep: args.fromStep ?? null };
    return this.decide(args, { type: 'RetryJob', at: new Date(), data }, actor);
  }

  @Mutation('resumeJob')
  resumeJob(
    @Args() args: OneJob & Readonly<{ payload?: Json }>,
    @Context() context: MutationContext,
  ): Promise<JobPayload> {
    const actor = requireRole(context, 'operator');
    const outcome = { kind: 'manual', payload: args.payload ?? null } as const;
    const data = { waitId: null, outcome };
    return this.decide(args, { type: 'ResumeJob', at: new Date(), data }, actor);
  }

  /** Who it is is the name of the key, so that nobody answers for another. */
  @Mutation('answerApproval')
  answerApproval(
    @Args() args: OneJob & Readonly<{ approved: boolean; comment?: string | null }>,
    @Context() context: MutationContext,
  ): Promise<JobPayload> {
    const actor = requireRole(context, 'operator');
    const data = { approved: args.approved, by: actor, comment: args.comment ?? null };
    return this.decide(args, { type: 'AnswerApproval', at: new Date(), data }, actor);
  }

  private async decide(
    { id, expectedVersion }: OneJob,
    command: JobCommand,
    actor: string,
  ): Promise<JobPayload> {
    const expected = typeof expectedVersion === 'number' ? { expectedVersion } : {};
    try {
      const { history } = await this.door.execute(
        new DecideJob(id, command, { actor, ...expected }),
      );
      return { jobId: id, position: history.position, errors: [] };
    } catch (error) {
      return { ...refused(toUserError(error)), jobId: id };
    }
  }
}

const refused = (error: UserError): JobPayload => ({
  jobId: null,
  position: null,
  errors: [error],
});
