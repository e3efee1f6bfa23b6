import type { Queryable } from '../platform/database.ts';
import { derivedId } from '../platform/ids.ts';
import { type Statement, sql } from '../platform/sql.ts';
import { type Order, type OrderParts, carryOut } from './carry-out.ts';
import { forEachPage } from './job-pages.ts';
import { IDLE_MS, type Reaction } from './reaction.ts';

type Outdated = Readonly<{
  job_id: string;
  superseded_by: string;
  version: number;
  replaceable: boolean;
}>;

/**
 * Ends the open jobs whose place a newer one of their key takes: running or not where the newest supersedes, and only
 * those that have not begun where it was debounced.
 */
export class Superseding implements Reaction {
  readonly name = 'superseding';

  constructor(
    private readonly parts: OrderParts & Readonly<{ database: Queryable; clock: () => Date }>,
  ) {}

  async runOnce(): Promise<number> {
    const { database, counts } = this.parts;
    await forEachPage(
      (after, limit) => database.query<Outdated>(outdatedJobs(after, limit)),
      async (page) => {
        counts.superseded += await carryOut(
          page.map((job) => this.supersede(job)),
          this.parts,
        );
      },
    );
    return IDLE_MS;
  }

  private supersede({ job_id: jobId, superseded_by: by, version, replaceable }: Outdated): Order {
    return {
      // A worker may have taken it since.
      ...(replaceable ? { expectedVersion: version } : {}),
      jobId,
      command: { type: 'SupersedeJob', at: this.parts.clock(), data: { by } },
      commandId: derivedId('supersede', jobId, by),
    };
  }
}

const outdatedJobs = (after: string, limit: number): Statement => sql`
  select job_id, superseded_by, version, replaceable from dispatch.jobs
  where superseded_by is not null and job_id > ${after}
  order by job_id limit ${limit}`;
