import type { Recorded } from '../events/event.ts';
import type { SignalEvent } from '../events/signal.ts';
import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { openingRow, phaseRow } from './control-rows.ts';
import type { FoldedPage } from './fold-page.ts';
import type { Opening, Phase } from './job-fold.ts';
import { type Line, straightenLines } from './lines.ts';
import { storable } from './storable.ts';

/** What a page has touched: which reactions have something to look at. */
export type Touched = Readonly<{
  /** A job may have become ready. */
  ready: boolean;
  /** How many jobs were taken by a worker. */
  taken: number;
  /** A job left the hinted ones without being taken. */
  ended: boolean;
  /** A job paused or a signal came. */
  waits: boolean;
  /** A job has a new time at which something is due. */
  timers: boolean;
  /** A job paused with a request. */
  requests: boolean;
  /** A job of a line in which the newest supersedes came or went. */
  superseding: boolean;
}>;

/**
 * Writes a folded page with few statements, however many events it held, in the transaction that moves the
 * checkpoint. The page's events must follow those that are in the tables already.
 */
export async function writePage(
  transaction: Queryable,
  { jobs, signals }: FoldedPage,
): Promise<Touched> {
  const changes = sortChanges(jobs);
  const lines = [
    ...(await deleteEnded(transaction, changes.ended)),
    ...(await putOpened(transaction, changes.opened)),
  ];
  await movePhases(transaction, changes.moved);
  await replaceWaits(transaction, changes);
  await addSignals(transaction, signals);
  await addUsedSignals(transaction, jobs);
  await straightenLines(transaction, lines);
  return touched(changes, signals, lines);
}

type Opened = Readonly<{ jobId: string; opening: Opening; phase: Phase }>;
type Moved = Readonly<{ jobId: string; phase: Phase }>;
type Changes = Readonly<{
  opened: readonly Opened[];
  moved: readonly Moved[];
  /** All that stand open after the page: `opened` and `moved`. */
  open: readonly Moved[];
  ended: readonly string[];
  leftPause: readonly string[];
}>;

function sortChanges(jobs: FoldedPage['jobs']): Changes {
  const opened: Opened[] = [];
  const moved: Moved[] = [];
  const ended: string[] = [];
  const leftPause: string[] = [];
  for (const [jobId, { opening, phase, leftPause: left }] of jobs) {
    if (phase === null) {
      ended.push(jobId);
      continue;
    }
    if (left) leftPause.push(jobId);
    if (opening === null) moved.push({ jobId, phase });
    else opened.push({ jobId, opening, phase });
  }
  return { opened, moved, open: [...opened, ...moved], ended, leftPause };
}

async function deleteEnded(
  transaction: Queryable,
  jobIds: readonly string[],
): Promise<readonly Line[]> {
  if (jobIds.length === 0) return [];
  const lines = await transaction.query<Record<keyof Line, string | null>>(sql`
    with waits as (delete from dispatch.waits where job_id = any(${jobIds})),
         used as (delete from dispatch.used_signals where job_id = any(${jobIds})),
         progress as (delete from dispatch.progress where job_id = any(${jobIds}))
    delete from dispatch.jobs where job_id = any(${jobIds})
    returning workflow, concurrency_key as key, concurrency_strategy as strategy`);
  return lines.filter((line): line is Line => line.key !== null);
}

async function putOpened(
  transaction: Queryable,
  opened: readonly Opened[],
): Promise<readonly Line[]> {
  if (opened.length === 0) return [];
  const rows = opened.map(({ jobId, opening, phase }) => ({
    ...phaseRow(jobId, phase),
    ...openingRow(opening),
  }));
  await transaction.query(sql`
    insert into dispatch.jobs (
      job_id, workflow, repository, priority, requested_position, line_position,
      concurrency_key, concurrency_strategy, blocked, phase, version, position, since,
      run_id, worker_id, wait, wait_until, wait_topic, next_attempt_at, takeable)
    select
      job_id, workflow, repository, priority, requested_position, line_position,
      key, strategy, coalesce(strategy = 'queue', false), phase, version, position, since,
      run_id, worker_id, wait::json, wait_until, wait_topic, next_attempt_at, takeable
    from json_to_recordset(${JSON.stringify(rows)}) as row (
      job_id text, workflow text, repository text, priority smallint, requested_position bigint,
      line_position bigint, key text, strategy text, phase text, version integer,
      position bigint, since timestamptz, run_id text, worker_id text, wait text,
      wait_until timestamptz, wait_topic text, next_attempt_at timestamptz, takeable boolean)
    on conflict (job_id) do update set
      workflow = excluded.workflow, repository = excluded.repository, priority = excluded.priority,
      requested_position = excluded.requested_position, line_position = excluded.line_position,
      concurrency_key = excluded.concurrency_key, blocked = excluded.blocked, superseded_by = null,
      concurrency_strategy = excluded.concurrency_strategy, phase = excluded.phase,
      version = excluded.version, position = excluded.position, since = excluded.since,
      run_id = excluded.run_id, worker_id = excluded.worker_id, wait = excluded.wait,
      wait_until = excluded.wait_until, wait_topic = excluded.wait_topic,
      next_attempt_at = excluded.next_attempt_at, takeable = excluded.takeable, hinted_at = null`);
  return rows.filter((row): row is typeof row & Line => row.key !== null);
}

async function movePhases(transaction: Queryable, moved: readonly Moved[]): Promise<void> {
  if (moved.length === 0) return;
  const rows = moved.map(({ jobId, phase }) => phaseRow(jobId, phase));
  await transaction.query(sql`
    update dispatch.jobs as job
    set phase = row.phase, version = row.version, position = row.position, since = row.since,
        run_id = row.run_id, worker_id = row.worker_id, wait = row.wait::json,
        wait_until = row.wait_until, wait_topic = row.wait_topic,
        next_attempt_at = row.next_attempt_at, takeable = row.takeable, hinted_at = null
    from json_to_recordset(${JSON.stringify(rows)}) as row (
      job_id text, phase text, version integer, position bigint, since timestamptz,
      run_id text, worker_id text, wait text, wait_until timestamptz, wait_topic text,
      next_attempt_at timestamptz, takeable boolean)
    where job.job_id = row.job_id`);
}

async function replaceWaits(transaction: Queryable, { open, leftPause }: Changes): Promise<void> {
  if (leftPause.length > 0) {
    await transaction.query(sql`delete from dispatch.waits where job_id = any(${leftPause})`);
  }
  const rows = open.flatMap(({ jobId, phase: { wait } }) =>
    (wait?.on ?? []).map(({ event, key }, ordinal) => ({
      job_id: jobId,
      ordinal,
      event: storable(event),
      key: key === null ? null : storable(key),
    })),
  );
  if (rows.length === 0) return;
  await transaction.query(sql`
    insert into dispatch.waits (job_id, ordinal, event, key, position, requested_position)
    select row.job_id, row.ordinal, row.event, row.key, job.position, job.requested_position
    from json_to_recordset(${JSON.stringify(rows)})
      as row (job_id text, ordinal integer, event text, key text)
    join dispatch.jobs as job on job.job_id = row.job_id`);
}

async function addSignals(
  transaction: Queryable,
  signals: readonly Recorded<SignalEvent>[],
): Promise<void> {
  if (signals.length === 0) return;
  const rows = signals.map(({ streamId, position, data: { event, key } }) => ({
    signal_id: streamId,
    event: storable(event),
    key: key === null ? null : storable(key),
    position: String(position),
  }));
  await transaction.query(sql`
    insert into dispatch.signals (signal_id, event, key, position)
    select signal_id, event, key, position
    from json_to_recordset(${JSON.stringify(rows)})
      as row (signal_id text, event text, key text, position bigint)
    on conflict do nothing`);
}

async function addUsedSignals(transaction: Queryable, jobs: FoldedPage['jobs']): Promise<void> {
  const rows = [...jobs].flatMap(([jobId, { phase, usedSignals }]) =>
    phase === null ? [] : usedSignals.map((signalId) => ({ job_id: jobId, signal_id: signalId })),
  );
  if (rows.length === 0) return;
  await transaction.query(sql`
    insert into dispatch.used_signals (job_id, signal_id)
    select job_id, signal_id
    from json_to_recordset(${JSON.stringify(rows)}) as row (job_id text, signal_id text)
    on conflict do nothing`);
}

function touched(
  { open, ended }: Changes,
  signals: FoldedPage['signals'],
  lines: readonly Line[],
): Touched {
  const phases = open.map(({ phase }) => phase);
  const has = (...names: readonly Phase['name'][]): boolean =>
    phases.some(({ name }) => names.includes(name));
  return {
    ready: has('requested', 'resumed') || lines.some(({ strategy }) => strategy === 'queue'),
    taken: phases.filter(({ name }) => name === 'running').length,
    ended: ended.length > 0,
    waits: signals.length > 0 || has('paused'),
    timers: has('retrying') || phases.some(({ wait }) => typeof wait?.until === 'string'),
    requests: phases.some(({ wait }) => Boolean(wait?.request)),
    superseding: lines.some(({ strategy }) => strategy === 'supersede'),
  };
}
