import type { Wait } from '../events/job.ts';
import type { Queryable } from '../platform/database.ts';
import { derivedId } from '../platform/ids.ts';
import { sql } from '../platform/sql.ts';
import { type OrderParts, carryOut } from './carry-out.ts';
import { forEachPage } from './job-pages.ts';
import { IDLE_MS, type Reaction, type Wake } from './reaction.ts';

type Overdue = Readonly<{ job_id: string; version: number; wait: Wait }>;

/**
 * Ends waits whose time is over and jobs that are out of time, and lets workers take the jobs whose next attempt is due
 * or that were held for newer ones. Time is this process's clock, as the rules compare with the time that the command
 * brings.
 */
export class Timers implements Reaction {
  readonly name = 'timers';

  constructor(
    private readonly parts: OrderParts &
      Readonly<{
        database: Queryable;
        clock: () => Date;
        hintsWake: Pick<Wake, 'announce'>;
        ratesWake: Pick<Wake, 'announce'>;
      }>,
  ) {}

  async runOnce(): Promise<number> {
    const now = this.parts.clock();
    await this.releaseRetries(now);
    await this.releaseHeld(now);
    await this.endWaits(now);
    await this.expire(now);
    return this.msUntilNext(now);
  }

  private async releaseRetries(now: Date): Promise<void> {
    const released = await this.parts.database.query(sql`
      update dispatch.jobs set takeable = true
      where phase = 'retrying' and not takeable and next_attempt_at <= ${now}
      returning 1`);
    if (released.length > 0) this.parts.hintsWake.announce();
  }

  /** A job whose rate does not let it start yet is left to that. */
  private async releaseHeld(now: Date): Promise<void> {
    const released = await this.parts.database.query(sql`
      update dispatch.jobs
      set hold_until = null, takeable = phase = 'requested' and rate is distinct from 'waiting'
      where hold_until <= ${now}
      returning 1`);
    if (released.length === 0) return;
    this.parts.hintsWake.announce();
    this.parts.ratesWake.announce();
  }

  private async expire(now: Date): Promise<void> {
    const { database, counts } = this.parts;
    await forEachPage(
      (after, limit) =>
        database.query<Readonly<{ job_id: string; deadline: Date }>>(sql`
        select job_id, deadline from dispatch.jobs
        where deadline <= ${now} and job_id > ${after}
        order by job_id limit ${limit}`),
      async (page) => {
        const orders = page.map(({ job_id: jobId, deadline }) => ({
          jobId,
          command: { type: 'ExpireJob', at: now, data: {} } as const,
          commandId: derivedId('expire', jobId, deadline.toISOString()),
        }));
        counts.expired += await carryOut(orders, this.parts);
      },
    );
  }

  private async endWaits(now: Date): Promise<void> {
    const { database, counts } = this.parts;
    await forEachPage(
      (after, limit) =>
        database.query<Overdue>(sql`
        select job_id, version, wait from dispatch.jobs
        where wait_until <= ${now} and job_id > ${after}
        order by job_id limit ${limit}`),
      async (page) => {
        const orders = page.map(({ job_id: jobId, version, wait }) => ({
          jobId,
          command: {
            type: 'ResumeJob',
            at: now,
            data: { waitId: wait.id, outcome: { kind: 'timeout' } },
          } as const,
          // The version, because a retry from an earlier step waits at the same place again.
          commandId: derivedId('timeout', jobId, String(version)),
        }));
        counts.timedOut += await carryOut(orders, this.parts);
      },
    );
  }

  private async msUntilNext(now: Date): Promise<number> {
    const [next] = await this.parts.database.query<{ at: Date | null }>(sql`
      select least(
        (select min(wait_until) from dispatch.jobs where wait_until > ${now}),
        (select min(next_attempt_at) from dispatch.jobs
         where next_attempt_at > ${now} and not takeable),
        (select min(hold_until) from dispatch.jobs where hold_until > ${now}),
        (select min(deadline) from dispatch.jobs where deadline > ${now})
      ) as at`);
    return next?.at ? next.at.getTime() - this.parts.clock().getTime() : IDLE_MS;
  }
}
