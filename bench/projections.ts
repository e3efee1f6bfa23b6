import { PostgresEventStore, appendLane } from '../src/event-store/postgres-event-store.ts';
import { LocalLogHints } from '../src/event-store/log-hints.ts';
import { Database } from '../src/platform/database.ts';
import { newId } from '../src/platform/ids.ts';
import { createLogger } from '../src/platform/logger.ts';
import { sql } from '../src/platform/sql.ts';
import { PROJECTIONS } from '../src/projections/catalog.ts';
import { LiveProjections } from '../src/projections/live.ts';
import { Projector } from '../src/projections/projector.ts';
import { rebuild } from '../src/projections/rebuild.ts';

export type Measured = Readonly<{ what: string; value: number; unit: string }>;

const EVENTS_PER_JOB = 5;
/** How many jobs are open at the same time. */
const OPEN_JOBS = 200;

/**
 * What the read models cost, on a migrated database that is this benchmark's own: events per second of a rebuild of
 * all projections, of the live ones catching up page by page, and how far they are behind under appends.
 */
export async function benchProjections({
  databaseUrl,
  events = 1_000_000,
}: Readonly<{ databaseUrl: string; events?: number }>): Promise<readonly Measured[]> {
  const logger = createLogger('warn', 'bench');
  const database = new Database(databaseUrl, { max: 6, applicationName: 'bench', logger });
  const hints = new LocalLogHints();
  const lane = appendLane({ databaseUrl, logger });
  const store = new PostgresEventStore({ database, lane, hints });
  try {
    await generateLog(database, events);
    const live = await catchUp(
      new LiveProjections({ database, store, logger, projections: PROJECTIONS }),
    );
    const results = await rebuild({ names: [], database, store });
    const memory = process.resourceUsage().maxRSS / 1_024;
    const lags = await measureLag({ database, databaseUrl, store, hints, logger });
    return [
      { what: 'live, catching up by pages of 1,000', value: live, unit: 'events/s' },
      ...results.map(({ name, eventsPerSecond }) => ({
        what: `rebuild of ${name} (shared pages)`,
        value: eventsPerSecond,
        unit: 'events/s',
      })),
      { what: 'memory of the process at most, server apart', value: memory, unit: 'MB' },
      ...lags,
    ];
  } finally {
    await lane.close();
    await database.close();
  }
}

/** Jobs of five events each, interleaved as if some hundreds were open at once, each request some 1 KB. */
async function generateLog(database: Database, events: number): Promise<void> {
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

async function catchUp(live: LiveProjections): Promise<number> {
  const began = performance.now();
  while (await live.round());
  const taken = live.taken.get('jobs') ?? 0;
  return Math.round((taken * 1_000) / (performance.now() - began));
}

type Parts = ConstructorParameters<typeof Projector>[0];

/** From an append's answer to the row: while a client appends one event after the other for two seconds. */
async function measureLag(parts: Parts): Promise<readonly Measured[]> {
  const stop = new AbortController();
  const projecting = new Projector(parts).run(stop.signal);
  const lags: number[] = [];
  const appendOne = async (): Promise<void> => {
    const result = await parts.store.append({
      streamId: newId(),
      expected: 0,
      events: [{ id: newId(), type: 'JobCancelled', at: new Date(), data: { reason: null } }],
    });
    if (result.status !== 'appended') throw new Error('not appended');
    const began = performance.now();
    while (!(await hasSeen(parts.database, result.lastPosition))) await Promise.resolve();
    lags.push(performance.now() - began);
  };
  await appendOne();
  lags.length = 0;
  const until = performance.now() + 2_000;
  while (performance.now() < until) await appendOne();
  stop.abort();
  await projecting;
  lags.sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round((lags[Math.floor(lags.length * share)] ?? 0) * 10) / 10;
  return [
    { what: 'append to row, one after the other, p50', value: at(0.5), unit: 'ms' },
    { what: 'append to row, one after the other, p99', value: at(0.99), unit: 'ms' },
  ];
}

async function hasSeen(database: Database, position: bigint): Promise<boolean> {
  const rows = await database.query(sql`
    select from read.projections where name = 'jobs' and live and position >= ${String(position)}`);
  return rows.length > 0;
}
