import { type DynamicModule, Module } from '@nestjs/common';
import { CqrsModule } from '@nestjs/cqrs';

import type { EventStore } from '../event-store/event-store.ts';
import type { Queryable } from '../platform/database.ts';
import { DeliveryLog } from './delivery/delivery-log.ts';
import { Redeliveries } from './delivery/redeliveries.ts';
import { JobDecisions } from './job/decide-job.ts';
import { type FindWaiting, Signals } from './signal/send-signal.ts';
import {
  DecideJobHandler,
  ReceiveDeliveryHandler,
  RedeliverHandler,
  SendSignalHandler,
} from './write.handler.ts';

export type WriteOptions = Readonly<{
  store: EventStore;
  /** Signals are taken where this is given. */
  findWaiting?: FindWaiting;
  /** Deliveries are taken where this is given. */
  deliveryLog?: DeliveryLog;
  /** Stored deliveries are taken again where this is given. */
  database?: Queryable;
}>;

/** The write side behind the command bus: the bus has the shape of `Door`. */
@Module({})
export class WriteModule {
  static register({ store, findWaiting, deliveryLog, database }: WriteOptions): DynamicModule {
    const jobs = new JobDecisions(store);
    return {
      module: WriteModule,
      imports: [CqrsModule.forRoot()],
      providers: [
        { provide: JobDecisions, useValue: jobs },
        DecideJobHandler,
        ...(findWaiting
          ? [
              { provide: Signals, useValue: new Signals(store, jobs, findWaiting) },
              SendSignalHandler,
            ]
          : []),
        ...(deliveryLog
          ? [{ provide: DeliveryLog, useValue: deliveryLog }, ReceiveDeliveryHandler]
          : []),
        ...(database
          ? [
              { provide: Redeliveries, useValue: new Redeliveries(database, jobs) },
              RedeliverHandler,
            ]
          : []),
      ],
      exports: [CqrsModule],
    };
  }
}
