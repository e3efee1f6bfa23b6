import { Inject } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { Args, Context, Mutation, Resolver } from '@nestjs/graphql';

import { DecideJob, type Door } from '../../write/door.ts';
import type { JobCommand } from '../../write/job/commands.ts';
import { Rejected } from '../../write/rejected.ts';
import { JobFinder } from './ports.ts';
import { type UserError, userError } from './refusals.ts';
import { type MutationContext, requireRole } from './require-role.ts';

type BulkPayload = Readonly<{ matched: number; changed: number; errors: readonly UserError[] }>;

const MAX_JOBS = 10_000;
const AT_ONCE = 32;
const OPEN = ['REQUESTED', 'RUNNING', 'PAUSED', 'RETRYING'];
const RETRIABLE = ['FAILED', 'CANCELLED'];

/** Asks about every job that a filter lets through. A job that has moved on meanwhile is left as it is. */
@Resolver()
export class BulkMutationsResolver {
  constructor(
    @Inject(CommandBus) private readonly door: Door,
    @Inject(JobFinder) private readonly jobs: JobFinder,
  ) {}

  @Mutation('cancelJobs')
  cancelJobs(
    @Args() args: Readonly<{ filter: object; reason?: string | null; dryRun: boolean }>,
    @Context() context: MutationContext,
  ): Promise<BulkPayload> {
    const actor = requireRole(context, 'operator');
    const data = { reason: args.reason ?? null };
    const command: JobCommand = { type: 'CancelJob', at: new Date(), data };
    return this.each(args, OPEN, { command, actor });
  }

  @Mutation('retryJobs')
  retryJobs(
    @Args() args: Readonly<{ filter: object; dryRun: boolean }>,
    @Context() context: MutationContext,
  ): Promise<BulkPayload> {
    const actor = requireRole(context, 'operator');
    const command: JobCommand = { type: 'RetryJob', at: new Date(), data: { fromStep: null } };
    return this.each(args, RETRIABLE, { command, actor });
  }

  private async each(
    { filter, dryRun }: Readonly<{ filter: object; dryRun: boolean }>,
    statuses: readonly string[],
    { command, actor }: Readonly<{ command: JobCommand; actor: string }>,
  ): Promise<BulkPayload> {
    const found = await this.jobs.find(filter, { statuses, limit: MAX_JOBS + 1 });
    const matched = Math.min(found.length, MAX_JOBS);
    const ids = dryRun ? [] : found.slice(0, MAX_JOBS);
    const errors =
      found.length > MAX_JOBS
        ? [userError('too-many', `Only the oldest ${String(MAX_JOBS)} were taken: ask again`)]
        : [];
    let changed = 0;
    for (let at = 0; at < ids.length; at += AT_ONCE) {
      const done = await Promise.all(
        ids.slice(at, at + AT_ONCE).map((id) => this.one(new DecideJob(id, command, { actor }))),
      );
      changed += done.filter(Boolean).length;
    }
    return { matched, changed, errors };
  }

  private async one(command: DecideJob): Promise<boolean> {
    try {
      return (await this.door.execute(command)).events.length > 0;
    } catch (error) {
      if (error instanceof Rejected) return false;
      throw error;
    }
  }
}
