import type { Database } from '../../src/platform/database.ts';
import { sql } from '../../src/platform/sql.ts';

const EVENTS_PER_JOB = 5;
/** How many jobs are open at the same time. */
const OPEN_JOBS = 200;

/** Jobs of five events each, interleaved as if some hundreds were open at once, each request some 1 KB. */
export async function generateLog(database: Database, events: number): Promise<void> {
  const jobs = Math.floor(events / EVENTS_PER_JOB);
  await database.query(sql`
    insert into log.events (position, recorded_at, occurred_at, event_id, version, schema_version, stream_id, type, data, metadata)
    select row_number() over (order by job + step * ${OPEN_JOBS}::integer, step), now(),
           timestamptz '2026-01-01' + job * interval '1 second' + step * interval '5 seconds',
           gen_random_uuid(), step + 1, 1, md5(job::text)::uuid::text,
           (array['JobRequested', 'JobStarted', 'JobStepCompleted', 'JobStepCompleted', 'JobCompleted'])[step + 1],
           case step
             when 0 then json_build_object(
               'workflow', 'code-review', 'input', null, 'priority', 5,
               'concurrency', json_build_object('key', 'github/octo/repo-' || job % 500 || '#7', 'strategy', 'supersede'),
               'retry', json_build_object('maxAttempts', 3, 'firstDelayMs', 1000, 'maxDelayMs', 60000),
               'deliveryId', gen_random_uuid(),
               'trigger', json_build_object(
                 'provider', 'github', 'source', 'github', 'deliveryId', gen_random_uuid(), 'event', 'pull_request',
                 'action', 'synchronize', 'ref', 'feature/' || job, 'headSha', md5(job::text) || '00000000',
                 'baseSha', md5('base') || '00000000', 'sender', 'octocat-' || job % 100,
                 'repository', json_build_object('fullName', 'octo/repo-' || job % 500,
                   'url', 'https://git.example/octo/repo-' || job % 500, 'cloneUrl', 'https://git.example/octo/repo.git'),
                 'pullRequest', json_build_object('number', 7, 'title', 'Make the thing number ' || job || ' faster',
                   'url', 'https://git.example/octo/repo/pull/7', 'headRepository', 'octo/repo',
                   'baseBranch', 'main', 'baseSha', md5('base') || '00000000')))
             when 1 then json_build_object('runId', gen_random_uuid(), 'attempt', 1, 'workerId', 'worker-1')
             when 4 then json_build_object('runId', gen_random_uuid(), 'attempt', 1, 'result', json_build_object('findings', 3))
             else json_build_object('runId', gen_random_uuid(), 'attempt', 1, 'name', 'step-' || step,
               'startedAt', '2026-01-01T00:00:00.000Z', 'output', json_build_object('files', 12, 'path', repeat('x', 100)))
           end, json_build_object('correlationId', md5(job::text))
    from generate_series(1, ${jobs}::integer) as job, generate_series(0, ${EVENTS_PER_JOB - 1}::integer) as step`);
  await database.query(sql`analyze log.events`);
}
