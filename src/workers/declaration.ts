import { backoffMs, pause } from '../platform/backoff.ts';
import type { Queryable } from '../platform/database.ts';
import { newId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import { sql } from '../platform/sql.ts';
import { within } from './abort.ts';

/** So often within the time of a lease. */
const BEATS_PER_LEASE = 3;
const REMOVE_WITHIN_MS = 2_000;

/** Says in the database which workflows this process has, and their schedules, for as long as it takes jobs. */
export class Declaration {
  private readonly id = newId();

  constructor(
    private readonly parts: Readonly<{
      database: Queryable;
      leaseMs: number;
      workflows: readonly string[];
      schedules: readonly object[];
      logger: Logger;
    }>,
  ) {}

  /** Until `signal` aborts; then it takes what it said back. */
  async run(signal: AbortSignal): Promise<void> {
    const everyMs = this.parts.leaseMs / BEATS_PER_LEASE;
    let failures = 0;
    while (!signal.aborted) {
      failures = (await this.beat()) ? 0 : failures + 1;
      const waitMs = failures === 0 ? everyMs : backoffMs(failures, { maxMs: everyMs });
      await pause(waitMs, signal);
    }
    const { database, logger } = this.parts;
    const removed = database.query(sql`delete from dispatch.declarations where id = ${this.id}`);
    await within(removed, REMOVE_WITHIN_MS).catch((error: unknown) => {
      logger.warn({ err: error }, 'the workflows of this worker stay declared for a lease');
    });
  }

  private async beat(): Promise<boolean> {
    const { database, workflows, schedules, logger } = this.parts;
    try {
      await database.query(sql`
        insert into dispatch.declarations (id, workflows, schedules)
        values (${this.id}, ${workflows}, ${JSON.stringify(schedules)})
        on conflict (id) do update set last_seen_at = clock_timestamp()`);
      return true;
    } catch (error) {
      logger.warn({ err: error }, 'the workflows of this worker could not be declared');
      return false;
    }
  }
}
