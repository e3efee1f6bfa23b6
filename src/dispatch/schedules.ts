import type { Queryable } from '../platform/database.ts';
import { derivedId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import { sql } from '../platform/sql.ts';
import { type OrderParts, carryOut } from './carry-out.ts';
import { latestTime, nextTime } from './cron-times.ts';
import { type DeclaredSchedule, reconcileSchedules } from './declared-schedules.ts';
import type { Reaction } from './reaction.ts';

/** How soon a schedule of a new worker is seen. */
const LOOK_AGAIN_MS = 5_000;

type Times = Readonly<{ next_at: Date | null; paused_at: Date | null }>;

/**
 * Requests the jobs of the schedules that a living worker has. The id of a job follows from its schedule and its time,
 * so two dispatchers, or one that crashed between the request and the note of it, request it once. Of the times that
 * passed while nobody looked, or no worker had the schedule, the latest is made up for; while it was paused, none.
 */
export class Schedules implements Reaction {
  readonly name = 'schedules';

  constructor(
    private readonly parts: OrderParts &
      Readonly<{ database: Queryable; leaseMs: number; clock: () => Date; logger: Logger }>,
  ) {}

  async runOnce(): Promise<number> {
    const { database, leaseMs, clock, logger } = this.parts;
    const schedules = await reconcileSchedules(database, leaseMs);
    let dueInMs = LOOK_AGAIN_MS;
    for (const schedule of schedules) {
      try {
        const nextAt = await this.follow(schedule, clock());
        if (nextAt) dueInMs = Math.min(dueInMs, nextAt.getTime() - clock().getTime());
      } catch (error) {
        // One that cannot be followed must not hold up the others.
        const { workflow, name } = schedule;
        logger.error({ err: error, workflow, name }, 'a schedule could not be followed');
      }
    }
    return Math.max(dueInMs, 0);
  }

  /** Requests what is due; gives when it is due again. */
  private async follow(schedule: DeclaredSchedule, now: Date): Promise<Date | null> {
    const { workflow, name } = schedule;
    const [times] = await this.parts.database.query<Times>(sql`
      select next_at, paused_at from dispatch.schedules
      where workflow = ${workflow} and name = ${name}`);
    if (!times || times.paused_at !== null) return null;
    const { next_at: dueAt } = times;
    if (dueAt !== null && dueAt > now) return dueAt;
    const at = dueAt === null ? null : (latestTime(schedule, now) ?? dueAt);
    const jobId = at === null ? null : await this.request(schedule, at);
    const nextAt = nextTime(schedule, now);
    await this.parts.database.query(sql`
      update dispatch.schedules
      set next_at = ${nextAt}, last_at = coalesce(${at}, last_at),
        last_job_id = coalesce(${jobId}, last_job_id)
      where workflow = ${workflow} and name = ${name} and next_at is not distinct from ${dueAt}`);
    return nextAt;
  }

  private async request({ workflow, name, job }: DeclaredSchedule, at: Date): Promise<string> {
    const time = at.toISOString();
    const jobId = derivedId('schedule', workflow, name, time);
    const trigger = { ...job.trigger, deliveryId: `${name} ${time}` };
    const data = { ...job, trigger, deliveryId: null };
    const command = { type: 'RequestJob', at: this.parts.clock(), data } as const;
    const order = { jobId, command, commandId: derivedId('request', jobId) };
    this.parts.counts.scheduled += await carryOut([order], this.parts);
    return jobId;
  }
}
