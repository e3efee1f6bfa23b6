import { type DynamicModule, Module } from '@nestjs/common';

import { BulkMutationsResolver } from './bulk-mutations.resolver.ts';
import { JobMutationsResolver } from './job-mutations.resolver.ts';
import { OperationMutationsResolver } from './operation-mutations.resolver.ts';
import { DeliveryDesk, JobFinder, Operations, Planner } from './ports.ts';
import { RedeliveryMutationsResolver } from './redelivery-mutations.resolver.ts';
import { SignalMutationsResolver } from './signal-mutations.resolver.ts';

/** The mutations of the API. The write side's module has to be there too: they speak through the command bus. */
@Module({})
export class MutationsModule {
  static register({
    write,
    planner,
    jobs,
    deliveries,
    operations,
  }: Readonly<{
    write: DynamicModule;
    planner: Planner;
    jobs: JobFinder;
    deliveries: DeliveryDesk;
    operations: Operations;
  }>): DynamicModule {
    return {
      module: MutationsModule,
      imports: [write],
      providers: [
        { provide: Planner, useValue: planner },
        { provide: JobFinder, useValue: jobs },
        { provide: DeliveryDesk, useValue: deliveries },
        { provide: Operations, useValue: operations },
        JobMutationsResolver,
        BulkMutationsResolver,
        SignalMutationsResolver,
        RedeliveryMutationsResolver,
        OperationMutationsResolver,
      ],
    };
  }
}
