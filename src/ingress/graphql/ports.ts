import type { Trigger } from '../../events/trigger.ts';
import type { PlannedJob, RereadDelivery, StoredDelivery } from '../../write/door.ts';

/** What the workflows' definitions say about a trigger. */
export abstract class Planner {
  abstract names(): readonly string[];

  /** The jobs that a trigger starts. */
  abstract plan(trigger: Trigger): readonly PlannedJob[];

  /** The job of one workflow, whatever its matchers say; null when there is no such workflow. */
  abstract planOf(workflow: string, trigger: Trigger): PlannedJob | null;
}

/** Finds the jobs that a bulk mutation is about; the read side is behind it. */
export abstract class JobFinder {
  /** Ids of jobs in one of the statuses, oldest first. `filter` is the schema's JobFilter. */
  abstract find(
    filter: object,
    options: Readonly<{ statuses: readonly string[]; limit: number }>,
  ): Promise<readonly string[]>;
}

/** Finds the deliveries that are to be taken again, and says what they ask for today. */
export abstract class DeliveryDesk {
  /**
   * `withoutSource`: whether it is also taken when its source is not configured here; else that throws
   * `Rejected<DeliveryRejection>`.
   */
  abstract read(stored: StoredDelivery, withoutSource: boolean): Promise<RereadDelivery>;

  /** Ids of deliveries, oldest first. `filter` is the schema's DeliveryFilter. */
  abstract find(
    filter: object,
    options: Readonly<{ onlyFailed: boolean; size: number; after: string | null }>,
  ): Promise<Readonly<{ ids: readonly string[]; endCursor: string | null }>>;
}

/** What operators do to the machinery; dispatch and the broker are behind it. */
export abstract class Operations {
  /** False: there is no such schedule. */
  abstract pauseSchedule(schedule: ScheduleName, by: string): Promise<boolean>;
  /** False: there is no such schedule. */
  abstract resumeSchedule(schedule: ScheduleName): Promise<boolean>;
  /** Gives how many dead letters were put back where they came from. */
  abstract redrive(limit: number): Promise<number>;
}

export type ScheduleName = Readonly<{ workflow: string; name: string }>;
