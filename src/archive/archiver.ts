import {
  CheckpointLost,
  moveCheckpoint,
  raiseEpoch,
  readCheckpoint,
} from '../event-store/checkpoint.ts';
import { Leadership, type Term } from '../event-store/leadership.ts';
import { FINAL_EVENTS } from '../events/job.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Database } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import { sql } from '../platform/sql.ts';

/** The archiver's checkpoint in log.followers. */
export const ARCHIVE = 'archive';

/** Positions that are looked at together. */
const PAGE_SIZE = 2_000;
/** Jobs that one transaction moves: a few hundred events, some ten milliseconds. */
const JOBS_AT_ONCE = 50;
const BETWEEN_BATCHES_MS = 20;
const IDLE_MS = 60_000;
const DAY_MS = 86_400_000;

export type Archived = Readonly<{ jobs: number; events: number }>;

type Ending = Readonly<{ position: bigint; jobId: string }>;
/** What may be archived of a page, and how far that brings the checkpoint. */
type Due = Readonly<{ endings: readonly Ending[]; to: bigint }>;

/**
 * Moves the events of jobs that ended so many days ago to the archive, where every reader of the log still finds them.
 * It follows the log at that distance, one process at a time, in short transactions that hold up no append.
 */
export class Archiver {
  constructor(
    private readonly parts: Readonly<{
      database: Database;
      databaseUrl: string;
      keepDays: number;
      logger: Logger;
      clock?: () => Date;
    }>,
  ) {}

  async run(signal: AbortSignal): Promise<void> {
    const { databaseUrl, logger } = this.parts;
    const leadership = new Leadership({ databaseUrl, name: ARCHIVE, logger });
    await leadership.lead(signal, (term) => this.follow(term));
  }

  /** Archives what is due now, taking the work over from whoever does it. */
  async runOnce(signal: AbortSignal): Promise<Archived> {
    const epoch = await raiseEpoch(this.parts.database, ARCHIVE);
    return this.catchUp({ epoch, signal });
  }

  private async follow({ epoch, signal }: Term): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      try {
        const { jobs, events } = await this.catchUp({ epoch, signal });
        if (jobs > 0) this.parts.logger.info({ jobs, events }, 'archived finished jobs');
        failures = 0;
        await pause(IDLE_MS, signal);
      } catch (error) {
        if (error instanceof CheckpointLost) throw error;
        failures++;
        this.parts.logger.warn({ err: error, failures }, 'the archive waits');
        await pause(backoffMs(failures), signal);
      }
    }
  }

  private async catchUp({ epoch, signal }: Term): Promise<Archived> {
    const { database, keepDays, clock = () => new Date() } = this.parts;
    const endedBefore = new Date(clock().getTime() - keepDays * DAY_MS);
    let from = await readCheckpoint(database, ARCHIVE);
    let done: Archived = { jobs: 0, events: 0 };
    while (!signal.aborted) {
      const { endings, to } = await this.nextPage(from, endedBefore);
      if (to === from) break;
      for (let index = 0; index < endings.length && !signal.aborted; index += JOBS_AT_ONCE) {
        const batch = endings.slice(index, index + JOBS_AT_ONCE);
        const isLast = index + JOBS_AT_ONCE >= endings.length;
        const upTo = isLast ? to : (batch.at(-1)?.position ?? to);
        const moved = await this.take(batch, { endedBefore, epoch, from, to: upTo });
        done = { jobs: done.jobs + moved.jobs, events: done.events + moved.events };
        from = upTo;
        await pause(BETWEEN_BATCHES_MS, signal);
      }
      if (endings.length === 0) {
        await this.take([], { endedBefore, epoch, from, to });
        from = to;
      }
    }
    return done;
  }

  /** Positions follow the clock, so the first event that is too young ends the search. */
  private async nextPage(from: bigint, endedBefore: Date): Promise<Due> {
    const rows = await this.parts.database.query<{
      position: string;
      stream_id: string;
      type: string;
    }>(sql`
      select position::text as position, stream_id, type from (
        select position, stream_id, type, recorded_at from log.events
        where position > ${String(from)} order by position limit ${PAGE_SIZE}
      ) as page
      where recorded_at < ${endedBefore} order by page.position`);
    const endings = rows
      .filter(({ type }) => (FINAL_EVENTS as readonly string[]).includes(type))
      .map(({ position, stream_id: jobId }) => ({ position: BigInt(position), jobId }));
    return { endings, to: BigInt(rows.at(-1)?.position ?? from) };
  }

  private take(
    endings: readonly Ending[],
    {
      endedBefore,
      ...move
    }: Readonly<{ endedBefore: Date; epoch: bigint; from: bigint; to: bigint }>,
  ): Promise<Archived> {
    const jobs = [...new Set(endings.map(({ jobId }) => jobId))];
    return this.parts.database.transaction(async (transaction) => {
      await moveCheckpoint(transaction, { name: ARCHIVE, ...move });
      const [moved] = await transaction.query<Archived>(
        sql`select jobs, events from archive.take(${jobs}::text[], ${endedBefore})`,
      );
      return moved ?? { jobs: 0, events: 0 };
    });
  }
}
