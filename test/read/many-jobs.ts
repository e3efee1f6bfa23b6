import type { Database } from '../../src/platform/database.ts';
import {
  createGeneration,
  finishTables,
  showGeneration,
} from '../../src/projections/generations.ts';
import { jobs } from '../../src/projections/jobs.ts';

/**
 * Shows a generation with so many jobs as a busy service has: most are done, some fields are rare, one repository in
 * two thousand is much used, and the newest are open. Views are given, as most who list jobs want few of them.
 */
export async function showManyJobs(
  database: Database,
  count: number,
  view: (number: string) => string = () => `'{}'`,
): Promise<void> {
  const { generation } = await createGeneration(database, jobs);
  await database.query({
    text: `
      insert into projections.jobs_${String(generation)}
      select md5(i::text)::uuid::text as job_id,
        case when i % 10 < 7 then 'code-review' else 'workflow-' || i % 20 end as workflow,
        case when i > $1 - 200 then (array['REQUESTED', 'RUNNING', 'PAUSED', 'RETRYING'])[1 + i % 4]
          when i % 100 < 88 then 'COMPLETED' when i % 100 < 94 then 'FAILED'
          when i % 100 < 98 then 'SUPERSEDED' else 'CANCELLED' end as status,
        case when i % 1000 = 0 then 'azure-repos' when i % 10 = 0 then 'gitlab' else 'github' end as provider,
        'github' as source, repository, i % 300 as pull_request, 'Make part ' || i || ' faster' as title,
        'feature/' || i as ref, md5('sha' || i) || '00000000' as head_sha, 'octocat-' || i % 5000 as sender,
        repository || '#' || i % 300 as concurrency_key, 5 as priority, 1 as attempt, 3 as max_attempts,
        requested_at, requested_at + interval '1 second' as started_at,
        case when i <= $1 - 200 then requested_at + duration end as finished_at,
        requested_at + duration as updated_at,
        case when i <= $1 - 200 then extract(epoch from duration)::bigint * 1000 end as duration_ms,
        case when i % 100 between 88 and 93 then 'Exit code ' || i % 7 end as error_message,
        'worker-1' as worker_id, null as delivery_id, 5 as version, i * 5 as position, (${view('i')})::json as view,
        concat_ws(' ', md5(i::text)::uuid::text, md5('sha' || i) || '00000000', replace(replace(repository, '/', ' '), '-', ' '),
          'make part', i, 'faster feature octocat', i % 5000,
          case when i % 100 between 88 and 93 then 'exit code ' || i % 7 end) as words
      from (
        select i, 'octo/repo-' || floor(power(random(), 2) * 2000) as repository,
          timestamptz '2026-11-20' - ($1 - i) * interval '20 seconds' as requested_at,
          (10 + i % 600 * 7919 % 600) * interval '1 second' as duration
        from generate_series(1, $1::integer) as i
      ) as numbered`,
    values: [count],
  });
  await finishTables(database, jobs, generation);
  await database.query({ text: `vacuum projections.jobs_${String(generation)}`, values: [] });
  await database.transaction(async (transaction) => {
    await showGeneration(transaction, jobs, generation);
  });
}
