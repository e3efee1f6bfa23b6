import type { Json } from '../events/event.ts';
import type { StepPlace } from '../events/job.ts';
import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import type { ApiStep } from './job.ts';

type StepRow = Readonly<{
  job_id: string;
  name: string;
  attempt: number;
  started_at: Date;
  finished_at: Date;
  output: Json;
  status: 'COMPLETED' | 'FAILED';
  error: string | null;
}>;

/** The steps of each of the jobs that have ended, in the order in which they did. */
export async function loadSteps(
  database: Queryable,
  jobIds: readonly string[],
): Promise<readonly (readonly ApiStep[])[]> {
  const rows = await database.query<StepRow>(sql`
    select job_id, name, attempt, started_at, finished_at, output, status, error
    from read.job_steps where job_id = any(${jobIds}::text[])
    order by job_id, ordinal`);
  const byJob = new Map<string, ApiStep[]>(jobIds.map((id) => [id, []]));
  for (const row of rows) byJob.get(row.job_id)?.push(toStep(row));
  return jobIds.map((id) => byJob.get(id) ?? []);
}

const toStep = ({
  started_at,
  finished_at,
  name,
  status,
  attempt,
  output,
  error,
}: StepRow): ApiStep => ({
  name,
  status,
  attempt,
  startedAt: started_at.toISOString(),
  finishedAt: finished_at.toISOString(),
  output,
  error,
});

type RunningRow = Readonly<{ job_id: string; steps: readonly StepPlace[] }>;

/** The steps of each of the jobs that are under way now, as far as their workers have said. */
export async function loadRunningSteps(
  database: Queryable,
  jobIds: readonly string[],
): Promise<readonly (readonly StepPlace[])[]> {
  const rows = await database.query<RunningRow>(sql`
    select job_id, steps from dispatch.progress join dispatch.jobs using (job_id, run_id)
    where job_id = any(${jobIds}::text[]) and phase = 'running' and steps is not null`);
  const byJob = new Map(rows.map(({ job_id, steps }) => [job_id, steps]));
  return jobIds.map((id) => byJob.get(id) ?? []);
}

export type ApiProgress = Readonly<{ percent: number; message: string | null; at: Date }>;

/** What each of the jobs last said of its progress; null for one that said nothing, or has ended. */
export async function loadProgress(
  database: Queryable,
  jobIds: readonly string[],
): Promise<readonly (ApiProgress | null)[]> {
  const rows = await database.query<ApiProgress & { job_id: string }>(sql`
    select job_id, percent, message, at from dispatch.progress
    where job_id = any(${jobIds}::text[]) and percent is not null`);
  const byJob = new Map(rows.map(({ job_id, ...progress }) => [job_id, progress]));
  return jobIds.map((id) => byJob.get(id) ?? null);
}
