import { Inject } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { Args, Context, Mutation, Resolver } from '@nestjs/graphql';

import type { Json } from '../../events/event.ts';
import { newId } from '../../platform/ids.ts';
import { type Door, Redeliver, SendSignal } from '../../write/door.ts';
import { Planner } from './ports.ts';
import { toUserError, type UserError, userError } from './refusals.ts';
import { type MutationContext, requireRole } from './require-role.ts';

type SignalPayload = Readonly<{
  resumed: readonly string[];
  stored: boolean;
  errors: readonly UserError[];
}>;

type DeliveryPayload = Readonly<{
  deliveryRowId: string | null;
  jobIds: readonly string[];
  errors: readonly UserError[];
}>;

type SignalArguments = Readonly<{
  event: string;
  key?: string | null;
  payload?: Json;
  id?: string | null;
}>;

@Resolver()
export class SignalMutationsResolver {
  constructor(
    @Inject(CommandBus) private readonly door: Door,
    @Inject(Planner) private readonly planner: Planner,
  ) {}

  @Mutation('sendSignal')
  async sendSignal(
    @Args() { event, key, payload, id }: SignalArguments,
    @Context() context: MutationContext,
  ): Promise<SignalPayload> {
    const actor = requireRole(context, 'operator');
    if (event === '' || event.length > 200) {
      const error = userError('invalid', 'event is a name of 1 to 200 characters', ['event']);
      return { resumed: [], stored: false, errors: [error] };
    }
    const signal = { event, key: key ?? null, payload: payload ?? null, at: new Date(), actor };
    try {
      const { resumed } = await this.door.execute(new SendSignal({ id: id ?? newId(), ...signal }));
      return { resumed, stored: true, errors: [] };
    } catch (error) {
      return { resumed: [], stored: false, errors: [toUserError(error)] };
    }
  }

  @Mutation('redeliver')
  async redeliver(
    @Args('deliveryId') deliveryId: string,
    @Context() context: MutationContext,
  ): Promise<DeliveryPayload> {
    const actor = requireRole(context, 'operator');
    const plan = this.planner.plan.bind(this.planner);
    try {
      const { id, jobs } = await this.door.execute(
        new Redeliver(deliveryId, { plan, at: new Date(), actor }),
      );
      return { deliveryRowId: id, jobIds: jobs.map((job) => job.id), errors: [] };
    } catch (error) {
      return { deliveryRowId: null, jobIds: [], errors: [toUserError(error)] };
    }
  }
}
