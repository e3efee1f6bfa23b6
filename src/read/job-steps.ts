import type { Json } from '../events/event.ts';
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
}>;

/** The completed steps of each of the jobs, in the order of completion. */
export async function loadSteps(
  database: Queryable,
  jobIds: readonly string[],
): Promise<readonly (readonly ApiStep[])[]> {
  const rows = await database.query<StepRow>(sql`
    select job_id, name, attempt, started_at, finished_at, output
    from read.job_steps where job_id = any(${jobIds}::text[])
    order by job_id, ordinal`);
  const byJob = new Map<string, ApiStep[]>(jobIds.map((id) => [id, []]));
  for (const row of rows) byJob.get(row.job_id)?.push(toStep(row));
  return jobIds.map((id) => byJob.get(id) ?? []);
}

const toStep = ({ name, attempt, started_at, finished_at, output }: StepRow): ApiStep => ({
  name,
  attempt,
  startedAt: started_at.toISOString(),
  finishedAt: finished_at.toISOString(),
  output,
  status: 'COMPLETED',
  error: null,
});

export type ApiProgress = Readonly<{ percent: number; message: string | null; at: Date }>;

/** What each of the jobs last said of its progress; null for one that said nothing, or has ended. */
export async function loadProgress(
  database: Queryable,
  jobIds: readonly string[],
): Promise<readonly (ApiProgress | null)[]> {
  const rows = await database.query<ApiProgress & { job_id: string }>(sql`
    select job_id, percent, message, at from dispatch.progress
    where job_id = any(${jobIds}::text[])`);
  const byJob = new Map(rows.map(({ job_id, ...progress }) => [job_id, progress]));
  return jobIds.map((id) => byJob.get(id) ?? null);
}
