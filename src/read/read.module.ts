import { type DynamicModule, Module } from '@nestjs/common';

import {
  DeliveryConnectionResolver,
  DeliveryFieldsResolver,
  DeliveryPayloadResolver,
  JobConnectionResolver,
  JobFieldsResolver,
  JobPayloadResolver,
} from './graphql/fields.resolver.ts';
import { OperationsResolver, SchedulePayloadResolver } from './graphql/operations.resolver.ts';
import { QueryResolver } from './graphql/query.resolver.ts';
import { SubscriptionResolver } from './graphql/subscription.resolver.ts';
import { ReadSide } from './read-side.ts';

/** The resolvers of queries, of subscriptions, and of the fields that are fetched when asked for. */
@Module({})
export class ReadModule {
  static register(read: ReadSide): DynamicModule {
    return {
      module: ReadModule,
      providers: [
        { provide: ReadSide, useValue: read },
        QueryResolver,
        OperationsResolver,
        SchedulePayloadResolver,
        SubscriptionResolver,
        JobFieldsResolver,
        JobConnectionResolver,
        JobPayloadResolver,
        DeliveryFieldsResolver,
        DeliveryConnectionResolver,
        DeliveryPayloadResolver,
      ],
    };
  }
}
