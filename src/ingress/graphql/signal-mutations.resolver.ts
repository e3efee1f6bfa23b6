import { Inject } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { Args, Context, Mutation, Resolver } from '@nestjs/graphql';

import type { Json } from '../../events/event.ts';
import { newId } from '../../platform/ids.ts';
import { type Door, SendSignal } from '../../write/door.ts';
import { toUserError, type UserError, userError } from './refusals.ts';
import { type MutationContext, requireRole } from './require-role.ts';

type SignalPayload = Readonly<{
  resumed: readonly string[];
  stored: boolean;
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
  constructor(@Inject(CommandBus) private readonly door: Door) {}

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
}
