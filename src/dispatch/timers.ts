import type { Wait } from '../events/job.ts';
import type { Queryable } from '../platform/database.ts';
import { derivedId } from '../platform/ids.ts';
import { type Statement, sql } from '../platform/sql.ts';
import { type OrderParts, carryOut } from './carry-out.ts';
import { IDLE_MS, type Reaction, type Wake } from './reaction.ts';

/** The time as Postgres writes it, as a Date would cut it short. */
type Due = Readonly<{ job_id: string; due_at: string }>;
type Overdue = Due & Readonly<{ version: number; wait: Wait }>;

/** What the last page ended with. */
type Mark = Due;

const PAGE = 500;

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

  private async endWaits(now: Date): Promise<void> {
    const read = (after: Mark) => this.parts.database.query<Overdue>(overWaits(now, after));
    await this.forEachDue(read, async (page) => {
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
      this.parts.counts.timedOut += await carryOut(orders, this.parts);
    });
  }

  private async expire(now: Date): Promise<void> {
    const read = (after: Mark) => this.parts.database.query<Due>(outOfTime(now, after));
    await this.forEachDue(read, async (page) => {
      const orders = page.map(({ job_id: jobId, due_at }) => ({
        jobId,
        command: { type: 'ExpireJob', at: now, data: {} } as const,
        commandId: derivedId('expire', jobId, due_at),
      }));
      this.parts.counts.expired += await carryOut(orders, this.parts);
    });
  }

  private async forEachDue<R extends Due>(
    read: (after: Mark) => Promise<readonly R[]>,
    handle: (page: readonly R[]) => Promise<void>,
  ): Promise<void> {
    let after: Mark = { due_at: '-infinity', job_id: '' };
    for (;;) {
      const page = await read(after);
      const last = page.at(-1);
      if (last === undefined) return;
      await handle(page);
      if (page.length < PAGE) return;
      after = last;
    }
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

// In the order of the times, so that what is not due is not read, however many jobs wait.
const overWaits = (now: Date, after: Mark): Statement => sql`
  select job_id, version, wait, wait_until::text as due_at from dispatch.jobs
  where wait_until <= ${now} and (wait_until, job_id) > (${after.due_at}::timestamptz, ${after.job_id})
  order by wait_until, job_id limit ${PAGE}`;

const outOfTime = (now: Date, after: Mark): Statement => sql`
  select job_id, deadline::text as due_at from dispatch.jobs
  where deadline <= ${now} and (deadline, job_id) > (${after.due_at}::timestamptz, ${after.job_id})
  order by deadline, job_id limit ${PAGE}`;
