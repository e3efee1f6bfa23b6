import { Inject } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { Args, Context, Mutation, Resolver } from '@nestjs/graphql';

import { type Door, Redeliver, type StoredDelivery } from '../../write/door.ts';
import { NOTHING_YET, type RedeliveryCounts, redeliverMany } from '../redelivery/redeliver-many.ts';
import { DeliveryDesk } from './ports.ts';
import { toUserError, type UserError, userError } from './refusals.ts';
import { type MutationContext, requireRole } from './require-role.ts';

type DeliveryPayload = Readonly<{
  deliveryRowId: string | null;
  jobIds: readonly string[];
  errors: readonly UserError[];
}>;

type ManyArguments = Readonly<{
  filter: object;
  onlyFailed: boolean;
  dryRun: boolean;
  first: number;
  after?: string | null;
}>;

type ManyPayload = RedeliveryCounts &
  Readonly<{ endCursor: string | null; errors: readonly UserError[] }>;

const MAX_DELIVERIES = 10_000;
const NEVER = new AbortController().signal;

/** Takes stored deliveries again, by the sources and the workflows of today. */
@Resolver()
export class RedeliveryMutationsResolver {
  constructor(
    @Inject(CommandBus) private readonly door: Door,
    @Inject(DeliveryDesk) private readonly desk: DeliveryDesk,
  ) {}

  @Mutation('redeliver')
  async redeliver(
    @Args('deliveryId') deliveryId: string,
    @Context() context: MutationContext,
  ): Promise<DeliveryPayload> {
    const actor = requireRole(context, 'operator');
    const read = (stored: StoredDelivery) => this.desk.read(stored, true);
    try {
      const { id, jobs } = await this.door.execute(
        new Redeliver(deliveryId, { read, at: new Date(), actor }),
      );
      return { deliveryRowId: id, jobIds: jobs.map((job) => job.id), errors: [] };
    } catch (error) {
      return { deliveryRowId: null, jobIds: [], errors: [toUserError(error)] };
    }
  }

  @Mutation('redeliverMany')
  async redeliverMany(
    @Args() { filter, onlyFailed, dryRun, first, after = null }: ManyArguments,
    @Context() context: MutationContext,
  ): Promise<ManyPayload> {
    const actor = requireRole(context, 'operator');
    const size = Math.min(Math.max(first, 1), MAX_DELIVERIES);
    const page = await this.desk.find(filter, { onlyFailed, size, after });
    const options = {
      read: (stored: StoredDelivery) => this.desk.read(stored, false),
      at: new Date(),
      actor,
      dryRun,
      ...(onlyFailed && { retry: ['failed'] as const }),
    };
    let counts = NOTHING_YET;
    const pages = redeliverMany(onePage(page.ids), { door: this.door, options }, NEVER);
    for await (const done of pages) counts = done;
    const errors =
      first > size ? [userError('too-many', `At most ${String(size)} at a time`, ['first'])] : [];
    return { ...counts, endCursor: page.endCursor, errors };
  }
}

async function* onePage(ids: readonly string[]): AsyncGenerator<readonly string[]> {
  yield await Promise.resolve(ids);
}
