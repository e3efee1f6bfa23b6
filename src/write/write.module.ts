import { type DynamicModule, Module, type Provider } from '@nestjs/common';
import { CqrsModule } from '@nestjs/cqrs';

import type { EventStore } from '../event-store/event-store.ts';
import type { Queryable } from '../platform/database.ts';
import type { DeliveryLog } from './delivery/delivery-log.ts';
import { Deliveries } from './delivery/receive-delivery.ts';
import { Redeliveries } from './delivery/redeliveries.ts';
import type { SealTrigger } from './delivery/seal-delivery.ts';
import { JobDecisions } from './job/decide-job.ts';
import type { PromptHints } from './prompt-hints.ts';
import { type FindWaiting, Signals } from './signal/send-signal.ts';
import {
  DecideJobHandler,
  ReceiveDeliveryHandler,
  RedeliverHandler,
  SendSignalHandler,
} from './write.handler.ts';

/** Each part that is given lets the bus take the commands that need it. */
export type WriteOptions = Readonly<{
  /** Commands to jobs. */
  store?: EventStore;
  /** Signals, beside the store. */
  findWaiting?: FindWaiting;
  /** Deliveries. */
  deliveryLog?: DeliveryLog;
  /** Redeliveries, beside the store. */
  database?: Queryable;
  /** What redeliveries store of a trigger; null: the trigger. */
  sealTrigger?: SealTrigger | null;
  /** Without it, the dispatcher alone tells workers of ready jobs. */
  prompt?: PromptHints | null;
}>;

/** The write side behind the command bus: the bus has the shape of `Door`. */
@Module({})
export class WriteModule {
  static register({
    store,
    findWaiting,
    deliveryLog,
    database,
    sealTrigger,
    prompt,
  }: WriteOptions): DynamicModule {
    const providers: Provider[] = [];
    if (deliveryLog) {
      const deliveries = new Deliveries(deliveryLog, prompt ?? null);
      providers.push({ provide: Deliveries, useValue: deliveries }, ReceiveDeliveryHandler);
    }
    if (store) {
      const jobs = new JobDecisions(store, prompt ?? null);
      providers.push({ provide: JobDecisions, useValue: jobs }, DecideJobHandler);
      if (findWaiting) {
        const signals = new Signals(store, jobs, findWaiting);
        providers.push({ provide: Signals, useValue: signals }, SendSignalHandler);
      }
      if (database) {
        const redeliveries = new Redeliveries(database, jobs, sealTrigger);
        providers.push({ provide: Redeliveries, useValue: redeliveries }, RedeliverHandler);
      }
    }
    return {
      module: WriteModule,
      imports: [CqrsModule.forRoot()],
      providers,
      exports: [CqrsModule],
    };
  }
}
