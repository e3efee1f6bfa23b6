import { pause } from '../platform/backoff.ts';
import type { Queryable } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import { sql } from '../platform/sql.ts';
import { cut } from './failure.ts';

type Progress = Readonly<{ jobId: string; percent: number; message: string | null; at: string }>;

const MAX_MESSAGE = 500;
const EVERY_MS = 1_000;

/**
 * Shows how far running jobs are: at most one write per second for all of them, of which the last of each job counts.
 * A write that fails is dropped: progress is a courtesy and never fails a job.
 */
export class ProgressBoard {
  private latest = new Map<string, Progress>();

  constructor(
    private readonly database: Queryable,
    private readonly logger: Logger,
  ) {}

  show(jobId: string, percent: number, message: string | null): void {
    if (!Number.isFinite(percent)) return;
    this.latest.set(jobId, {
      jobId,
      percent: Math.min(Math.max(percent, 0), 100),
      message: message === null ? null : cut(message, MAX_MESSAGE),
      at: new Date().toISOString(),
    });
  }

  /** What an ended job still had to show is shown to nobody. */
  forget(jobId: string): void {
    this.latest.delete(jobId);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(EVERY_MS, signal);
      await this.write();
    }
  }

  async write(): Promise<void> {
    if (this.latest.size === 0) return;
    const rows = [...this.latest.values()];
    this.latest = new Map();
    try {
      await this.database.query(sql`
        insert into dispatch.progress (job_id, percent, message, at)
        select "jobId", percent, message, at
        from json_to_recordset(${JSON.stringify(rows)})
          as shown ("jobId" text, percent real, message text, at timestamptz)
        where exists (select from dispatch.jobs where job_id = "jobId")
        on conflict (job_id) do update
        set percent = excluded.percent, message = excluded.message, at = excluded.at
        where progress.at <= excluded.at`);
    } catch (error) {
      this.logger.warn({ err: error }, 'the progress of running jobs could not be shown');
    }
  }
}
