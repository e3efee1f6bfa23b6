import { Cron } from 'croner';

import {
  type JsonValue,
  type Schedule,
  type Trigger,
  type Workflow,
  scheduleName,
} from '../sdk/index.ts';
import type { PlannedJob } from './planned-job.ts';

/** A job that the clock is to start. */
export type PlannedSchedule = Readonly<{
  workflow: string;
  /** Tells the schedules of a workflow apart. */
  name: string;
  cron: string;
  timeZone: string;
  /** `trigger.deliveryId` becomes another with each time. */
  job: PlannedJob & Readonly<{ trigger: Trigger; input: JsonValue }>;
}>;

/** The schedules of a workflow, which `assertSchedules` has let through. */
export function plannedSchedules(
  workflow: Workflow,
  plan: (workflow: Workflow, trigger: Trigger) => PlannedJob,
): readonly PlannedSchedule[] {
  return workflow.schedules.map((schedule) => {
    const { cron, timeZone = 'UTC', input = null } = schedule;
    const name = scheduleName(schedule);
    const trigger = triggerOf(name);
    const job = { ...plan(workflow, trigger), trigger, input };
    return { workflow: workflow.name, name, cron, timeZone, job };
  });
}

/** Throws an Error that says which schedule can never be followed, and why. */
export function assertSchedules({ name, schedules }: Workflow): void {
  for (const schedule of schedules) assertTimes(name, schedule);
}

function assertTimes(workflow: string, { cron, timeZone = 'UTC' }: Schedule): void {
  const refuse = (reason: string): Error =>
    new Error(`Workflow "${workflow}": the schedule "${cron}" in ${timeZone} ${reason}`);
  if (cron.trim().split(/\s+/).length !== FIELDS) {
    throw refuse('needs five fields: minute, hour, day of the month, month, day of the week');
  }
  try {
    if (new Cron(cron, { timezone: timeZone }).nextRun() !== null) return;
  } catch (error) {
    throw refuse(`cannot be followed: ${error instanceof Error ? error.message : String(error)}`);
  }
  throw refuse('never comes');
}

const FIELDS = 5;

const triggerOf = (name: string): Trigger => ({
  provider: 'manual',
  source: 'schedule',
  deliveryId: name,
  event: 'push',
  action: 'scheduled',
  repository: null,
  pullRequest: null,
  ref: null,
  headSha: null,
  baseSha: null,
  sender: null,
});
