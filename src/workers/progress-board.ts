import type { StepPlace } from '../events/job.ts';
import { pause } from '../platform/backoff.ts';
import type { Queryable } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import { sql } from '../platform/sql.ts';
import { orAborted } from './abort.ts';
import { cut } from './failure.ts';
import type { Claim } from './run-reports.ts';

type Progress = Readonly<{ jobId: string; percent: number; message: string | null; at: string }>;

/** The steps of a run that are under way. `shown`: the board has some of this run. */
type Steps = { runId: string; steps: readonly StepPlace[]; changed: boolean; shown: boolean };

const MAX_MESSAGE = 500;
const EVERY_MS = 1_000;

/**
 * Shows how far running jobs are, and which of their steps: at most a write of each per second for all of them, of which
 * the last of each job counts. A step that is over within that time is not shown.
 * A write that fails is dropped: progress is a courtesy and never fails a job.
 */
export class ProgressBoard {
  private latest = new Map<string, Progress>();
  private readonly steps = new Map<string, Steps>();

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

  showSteps({ jobId, runId }: Pick<Claim, 'jobId' | 'runId'>, steps: readonly StepPlace[]): void {
    const before = this.steps.get(jobId);
    const shown = before?.runId === runId && before.shown;
    if (steps.length === 0 && !shown) this.steps.delete(jobId);
    else this.steps.set(jobId, { runId, steps, changed: true, shown });
  }

  /** What an ended run still had to show is shown to nobody. */
  forget(jobId: string): void {
    this.latest.delete(jobId);
    this.steps.delete(jobId);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(EVERY_MS, signal);
      // A database that hangs must not hold up the end of its worker.
      await orAborted(this.write(), signal);
    }
  }

  async write(): Promise<void> {
    try {
      await this.writeProgress();
      await this.writeSteps();
    } catch (error) {
      this.logger.warn({ err: error }, 'the progress of running jobs could not be shown');
    }
  }

  private async writeProgress(): Promise<void> {
    if (this.latest.size === 0) return;
    const rows = [...this.latest.values()];
    this.latest = new Map();
    await this.database.query(sql`
        insert into dispatch.progress (job_id, percent, message, at)
        select "jobId", percent, message, at
        from json_to_recordset(${JSON.stringify(rows)})
          as shown ("jobId" text, percent real, message text, at timestamptz)
        where exists (select from dispatch.jobs where job_id = "jobId")
        on conflict (job_id) do update
        set percent = excluded.percent, message = excluded.message, at = excluded.at
        where progress.at <= excluded.at or progress.percent is null`);
  }

  private async writeSteps(): Promise<void> {
    const changed = [...this.steps].filter(([, { changed: isNew }]) => isNew);
    if (changed.length === 0) return;
    const rows = changed.map(([jobId, { runId, steps }]) => ({ jobId, runId, steps }));
    for (const [, run] of changed) Object.assign(run, { changed: false, shown: true });
    await this.database.query(sql`
      insert into dispatch.progress (job_id, run_id, steps)
      select "jobId", "runId", steps
      from json_to_recordset(${JSON.stringify(rows)}) as shown ("jobId" text, "runId" text, steps json)
      where exists (select from dispatch.jobs where job_id = "jobId")
      on conflict (job_id) do update set run_id = excluded.run_id, steps = excluded.steps`);
  }
}
