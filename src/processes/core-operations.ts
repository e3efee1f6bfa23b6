import { pauseSchedule, resumeSchedule } from '../dispatch/schedule-control.ts';
import { Operations, type ScheduleName } from '../ingress/graphql/ports.ts';
import type { Core } from './core.ts';

export class CoreOperations extends Operations {
  constructor(private readonly core: Pick<Core, 'database' | 'transport'>) {
    super();
  }

  pauseSchedule(schedule: ScheduleName, by: string): Promise<boolean> {
    return pauseSchedule(this.core.database, schedule, by);
  }

  resumeSchedule(schedule: ScheduleName): Promise<boolean> {
    return resumeSchedule(this.core.database, schedule);
  }

  redrive(limit: number): Promise<number> {
    return this.core.transport?.redrive(limit) ?? Promise.resolve(0);
  }
}
