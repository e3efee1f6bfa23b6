import { type DynamicModule, Module } from '@nestjs/common';

import { BulkMutationsResolver } from './bulk-mutations.resolver.ts';
import { JobMutationsResolver } from './job-mutations.resolver.ts';
import { JobFinder, Planner } from './ports.ts';
import { SignalMutationsResolver } from './signal-mutations.resolver.ts';

/** The mutations of the API. The write side's module has to be there too: they speak through the command bus. */
@Module({})
export class MutationsModule {
  static register({
    write,
    planner,
    jobs,
  }: Readonly<{ write: DynamicModule; planner: Planner; jobs: JobFinder }>): DynamicModule {
    return {
      module: MutationsModule,
      imports: [write],
      providers: [
        { provide: Planner, useValue: planner },
        { provide: JobFinder, useValue: jobs },
        JobMutationsResolver,
        BulkMutationsResolver,
        SignalMutationsResolver,
      ],
    };
  }
}
