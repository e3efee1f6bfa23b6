import { candidateName } from '../event-store/leadership.ts';
import { applicationName, type Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import type { Leader } from './claim.ts';

/** The name of the lock and the epoch of whoever keeps a projection. */
export const projectorName = (projection: string): string => `projections:${projection}`;

/**
 * Which projections this process keeps. All processes that project are candidates for each projection, and none
 * takes or keeps more than its share of them.
 */
export class Shares {
  readonly held = new Map<string, Leader>();

  constructor(private readonly names: readonly string[]) {}

  /** Whether one more is for this process. */
  async mayTake(database: Queryable): Promise<boolean> {
    return this.held.size < (await this.fairShare(database));
  }

  /** Whether one is for another process. */
  async hasTooMany(database: Queryable): Promise<boolean> {
    return this.held.size > 1 && this.held.size > (await this.fairShare(database));
  }

  private async fairShare(database: Queryable): Promise<number> {
    const [name = ''] = this.names;
    const [row] = await database.query<{ processes: number }>(sql`
      select count(*)::int as processes from pg_stat_activity
      where datname = current_database()
        and application_name = ${applicationName(candidateName(projectorName(name)))}`);
    return Math.ceil(this.names.length / Math.max(1, row?.processes ?? 1));
  }
}
