import { Inject } from '@nestjs/common';
import { Args, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';

import { type DeadLetter, ReadSide } from '../read-side.ts';
import { type ApiSchedule, findSchedule, listSchedules } from '../schedules.ts';

const MAX_LETTERS = 100;

@Resolver()
export class OperationsResolver {
  constructor(@Inject(ReadSide) private readonly read: ReadSide) {}

  @Query('schedules')
  schedules(): Promise<readonly ApiSchedule[]> {
    return listSchedules(this.read.database);
  }

  @Query('deadLetters')
  deadLetters(@Args('first') first: number): Promise<readonly DeadLetter[]> {
    return this.read.deadLetters(Math.min(Math.max(first, 0), MAX_LETTERS));
  }
}

@Resolver('SchedulePayload')
export class SchedulePayloadResolver {
  constructor(@Inject(ReadSide) private readonly read: ReadSide) {}

  @ResolveField('schedule')
  schedule(
    @Parent() { of }: Readonly<{ of: Readonly<{ workflow: string; name: string }> | null }>,
  ): Promise<ApiSchedule | null> | null {
    return of === null ? null : findSchedule(this.read.database, of);
  }
}
