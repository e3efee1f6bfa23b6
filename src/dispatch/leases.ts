import type { Queryable } from '../platform/database.ts';
import { derivedId } from '../platform/ids.ts';
import { type Statement, sql } from '../platform/sql.ts';
import { type OrderParts, carryOut } from './carry-out.ts';
import { forEachPage } from './job-pages.ts';
import type { Reaction } from './reaction.ts';

type LostRun = Readonly<{ job_id: string; run_id: string }>;

/**
 * Takes the running jobs of workers that fell silent, so that others go on with them. Silence is measured by the
 * database's clock, the one that all heartbeats are written with.
 */
export class Leases implements Reaction {
  readonly name = 'leases';
  private lookedAt: number;
  private judgesFrom = 0;

  constructor(
    private readonly parts: OrderParts &
      Readonly<{ database: Queryable; leaseMs: number; clock: () => Date }>,
  ) {
    this.lookedAt = parts.clock().getTime();
  }

  async runOnce(): Promise<number> {
    const { leaseMs, clock, database } = this.parts;
    await database.query(sql`select 1`);
    const now = clock().getTime();
    // While we could not look, because Postgres was away or this machine slept, the living could not send heartbeats
    // either: they get the time of a lease to do so.
    if (now - this.lookedAt > leaseMs / 2) this.judgesFrom = now + leaseMs;
    this.lookedAt = now;
    if (now >= this.judgesFrom) {
      await this.interruptLostRuns();
      await database.query(removeSilentWorkers(leaseMs));
      await database.query(sql`
        delete from dispatch.declarations where last_seen_at < clock_timestamp() - interval '1 day'`);
    }
    return leaseMs / 5;
  }

  private async interruptLostRuns(): Promise<void> {
    const { database, leaseMs, clock, counts } = this.parts;
    await forEachPage(
      (after, limit) => database.query<LostRun>(lostRuns(leaseMs, after, limit)),
      async (page) => {
        const orders = page.map(({ job_id: jobId, run_id: runId }) => ({
          jobId,
          command: {
            type: 'InterruptJob',
            at: clock(),
            data: { runId, reason: 'lease-expired' },
          } as const,
          commandId: derivedId('lease-expired', jobId, runId),
        }));
        counts.interrupted += await carryOut(orders, this.parts);
      },
    );
  }
}

/** A heartbeat could not be written before the server was up, so no silence began earlier. */
const silentBefore = (leaseMs: number): Statement => sql`
  clock_timestamp() - make_interval(secs => ${leaseMs / 1_000})
    and pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => ${leaseMs / 1_000})`;

/** Running jobs whose worker is silent, or has no row; one that has just begun may have its row in a moment. */
const lostRuns = (leaseMs: number, after: string, limit: number): Statement => sql`
  select job.job_id, job.run_id
  from dispatch.jobs as job
  left join dispatch.workers as worker on worker.id = job.worker_id
  where job.phase = 'running' and job.job_id > ${after}
    and coalesce(worker.last_seen_at, job.since) < ${silentBefore(leaseMs)}
  order by job.job_id limit ${limit}`;

const removeSilentWorkers = (leaseMs: number): Statement => sql`
  delete from dispatch.workers as worker
  where worker.last_seen_at < ${silentBefore(leaseMs)}
    and not exists (
      select from dispatch.jobs where phase = 'running' and worker_id = worker.id)`;
