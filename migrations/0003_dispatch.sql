-- What the dispatcher knows of the open jobs. All of it follows from the log (resetDispatch empties it and reads the
-- log again) but hinted_at and takeable, which the reactions write, and the workers' own rows.
create schema dispatch;

-- One row per open job.
create table dispatch.jobs (
  job_id             text        primary key collate "C",
  workflow           text        not null collate "C",
  repository         text        collate "C",
  priority           smallint    not null,
  requested_position bigint      not null,
  concurrency_key    text        collate "C",
  concurrency_strategy text      collate "C" check (concurrency_strategy in ('supersede', 'queue')),
  line_position      bigint      not null,
  blocked            boolean     not null default false,
  superseded_by      text        collate "C",
  phase              text        not null collate "C"
    check (phase in ('requested', 'running', 'paused', 'resumed', 'retrying')),
  version            integer     not null,
  position           bigint      not null,
  since              timestamptz not null,
  run_id             text        collate "C",
  worker_id          text        collate "C",
  wait               json,
  wait_until         timestamptz,
  wait_topic         text        collate "C",
  next_attempt_at    timestamptz,
  takeable           boolean     not null,
  hinted_at          timestamptz
) with (
  fillfactor = 70,
  -- Rows come and go with the jobs: what is dead must not pile up in front of what is ready.
  autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000
);

comment on column dispatch.jobs.repository is 'Whose jobs must not starve those of others.';
comment on column dispatch.jobs.line_position is
  'Where it was opened: by its request, or by the retry of a job that had ended. The order of hints and of lines.';
comment on column dispatch.jobs.blocked is 'Strategy queue: an older job of its workflow and key is open.';
comment on column dispatch.jobs.superseded_by is
  'The newest open job of its workflow and key that was requested after it, if that one supersedes.';
comment on column dispatch.jobs.version is 'That of the event that began the phase; steps do not count.';
comment on column dispatch.jobs.since is 'When the event that began the phase was stored.';
comment on column dispatch.jobs.wait_topic is 'Of the request that is published while it is paused.';
comment on column dispatch.jobs.takeable is 'Its phase lets a worker take it: not paused, and due if it is retrying.';
comment on column dispatch.jobs.hinted_at is
  'When the hint, or the request of the wait, was last published in this phase.';

-- To be hinted, in order.
create index jobs_ready on dispatch.jobs (workflow, priority desc, line_position)
  where takeable and not blocked and superseded_by is null and hinted_at is null;
-- Hinted, and not taken yet.
create index jobs_hinted on dispatch.jobs (hinted_at) where takeable and hinted_at is not null;
create index jobs_line on dispatch.jobs (workflow, concurrency_key, line_position)
  where concurrency_key is not null;
create index jobs_newest on dispatch.jobs (workflow, concurrency_key, requested_position)
  where concurrency_strategy = 'supersede';
create index jobs_superseded on dispatch.jobs (job_id) where superseded_by is not null;
create index jobs_wait_until on dispatch.jobs (wait_until) where wait_until is not null;
create index jobs_next_attempt on dispatch.jobs (next_attempt_at)
  where next_attempt_at is not null and not takeable;
create index jobs_wait_requests on dispatch.jobs (hinted_at) where wait_topic is not null;
create index jobs_running on dispatch.jobs (worker_id) where phase = 'running';

-- What paused jobs wait for: one row per event that ends the wait.
create table dispatch.waits (
  job_id             text    not null collate "C",
  ordinal            integer not null,
  event              text    not null collate "C",
  key                text    collate "C",
  position           bigint  not null,
  requested_position bigint  not null,
  primary key (job_id, ordinal)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000);

comment on column dispatch.waits.key is 'null: any.';
comment on column dispatch.waits.position is 'Where the job paused.';

create index waits_event on dispatch.waits (event, key);
create index waits_position on dispatch.waits (position);

-- Every signal, without its payload, which the log keeps: a job that pauses later looks here.
create table dispatch.signals (
  signal_id text   primary key collate "C",
  event     text   not null collate "C",
  key       text   collate "C",
  position  bigint not null
);

create index signals_event on dispatch.signals (event, position);
create index signals_key on dispatch.signals (event, key, position);
create index signals_position on dispatch.signals (position);

-- Signals that ended a wait of an open job: none ends a second one of the same job.
create table dispatch.used_signals (
  job_id    text not null collate "C",
  signal_id text not null collate "C",
  primary key (job_id, signal_id)
);

-- One row per worker: its heartbeat. A worker that stops deletes its own.
create table dispatch.workers (
  id           text        primary key collate "C",
  host         text        not null,
  started_at   timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp(),
  running      integer     not null default 0,
  concurrency  integer     not null,
  draining     boolean     not null default false,
  version      text
) with (fillfactor = 50);

-- How far a job says it is; not part of the log.
create table dispatch.progress (
  job_id  text        primary key collate "C",
  percent real        not null,
  message text,
  at      timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

-- Says anew who stands where in the lines that a job came into or left; given [{workflow, key, strategy}].
-- queue: the oldest is free to go, the others are blocked, as they were from their first moment.
-- supersede: each learns of the newest that came after it.
-- What the lines are is worked out first, by their indexes: joined the other way round, it is worked out per open job.
create function dispatch.straighten_lines(touched json) returns void language plpgsql
set plan_cache_mode = force_custom_plan as $$
begin
  with first as materialized (
    select first.job_id
    from (
      select distinct workflow, key
      from json_to_recordset(touched) as line (workflow text, key text)
    ) as line
    cross join lateral (
      select job_id from dispatch.jobs
      where workflow = line.workflow and concurrency_key = line.key
      order by line_position limit 1
    ) as first
  )
  update dispatch.jobs as job set blocked = false
  from first
  where job.job_id = first.job_id and job.blocked;

  with line as materialized (
    select line.workflow, line.key, newest.job_id as newest, newest.requested_position
    from (
      select workflow, key, bool_or(strategy = 'supersede') as superseding
      from json_to_recordset(touched) as line (workflow text, key text, strategy text)
      group by workflow, key
    ) as line
    left join lateral (
      select job_id, requested_position from dispatch.jobs
      where workflow = line.workflow and concurrency_key = line.key
        and concurrency_strategy = 'supersede'
      order by requested_position desc limit 1
    ) as newest on true
    -- A line that only queues is not read to its end.
    where superseding or newest.job_id is not null
  )
  update dispatch.jobs as older
  set superseded_by =
    case when older.requested_position < line.requested_position then line.newest end
  from line
  where older.workflow = line.workflow and older.concurrency_key = line.key
    and older.superseded_by is distinct from
      case when older.requested_position < line.requested_position then line.newest end;
end $$;

-- Writes a folded page of the log and moves the follower's checkpoint over it, in one call: each round trip that is
-- saved is time off the way from a delivery to its job's start. Gives the strategies of the lines it touched, or null
-- when the checkpoint is no longer the caller's; then nothing was written.
create function dispatch.write_page(
  follower text, term bigint, position_before bigint, position_after bigint,
  ended text[], opened json, moved json, left_pause text[], waits json, signals json, used json
) returns text[] language plpgsql
set plan_cache_mode = force_custom_plan as $$
declare
  touched json;
  gone json;
begin
  -- What is written here can be derived again, so it need not wait for the disk.
  perform set_config('synchronous_commit', 'off', true);
  -- First, as everybody locks the checkpoint before the tables: a reset and a page wait for each other.
  update log.followers set position = position_after, updated_at = clock_timestamp()
  where name = follower and epoch = term and position = position_before;
  if not found then return null; end if;

  if cardinality(ended) > 0 then
    delete from dispatch.waits where job_id = any (ended);
    delete from dispatch.used_signals where job_id = any (ended);
    delete from dispatch.progress where job_id = any (ended);
    with deleted as (
      delete from dispatch.jobs where job_id = any (ended)
      returning workflow, concurrency_key as key, concurrency_strategy as strategy
    )
    select json_agg(deleted) into gone from deleted where key is not null;
  end if;

  if opened is not null then
    insert into dispatch.jobs (
      job_id, workflow, repository, priority, requested_position, line_position,
      concurrency_key, concurrency_strategy, blocked, phase, version, position, since,
      run_id, worker_id, wait, wait_until, wait_topic, next_attempt_at, takeable)
    select
      job_id, workflow, repository, priority, requested_position, line_position,
      key, strategy, coalesce(strategy = 'queue', false), phase, version, "position", since,
      run_id, worker_id, wait::json, wait_until, wait_topic, next_attempt_at, takeable
    from json_to_recordset(opened) as row (
      job_id text, workflow text, repository text, priority smallint, requested_position bigint,
      line_position bigint, key text, strategy text, phase text, version integer,
      "position" bigint, since timestamptz, run_id text, worker_id text, wait text,
      wait_until timestamptz, wait_topic text, next_attempt_at timestamptz, takeable boolean)
    on conflict (job_id) do update set
      workflow = excluded.workflow, repository = excluded.repository, priority = excluded.priority,
      requested_position = excluded.requested_position, line_position = excluded.line_position,
      concurrency_key = excluded.concurrency_key, blocked = excluded.blocked, superseded_by = null,
      concurrency_strategy = excluded.concurrency_strategy, phase = excluded.phase,
      version = excluded.version, position = excluded.position, since = excluded.since,
      run_id = excluded.run_id, worker_id = excluded.worker_id, wait = excluded.wait,
      wait_until = excluded.wait_until, wait_topic = excluded.wait_topic,
      next_attempt_at = excluded.next_attempt_at, takeable = excluded.takeable, hinted_at = null;
  end if;

  if moved is not null then
    update dispatch.jobs as job
    set phase = row.phase, version = row.version, position = row.position, since = row.since,
        run_id = row.run_id, worker_id = row.worker_id, wait = row.wait::json,
        wait_until = row.wait_until, wait_topic = row.wait_topic,
        next_attempt_at = row.next_attempt_at, takeable = row.takeable, hinted_at = null
    from json_to_recordset(moved) as row (
      job_id text, phase text, version integer, "position" bigint, since timestamptz,
      run_id text, worker_id text, wait text, wait_until timestamptz, wait_topic text,
      next_attempt_at timestamptz, takeable boolean)
    where job.job_id = row.job_id;
  end if;

  if cardinality(left_pause) > 0 then
    delete from dispatch.waits where job_id = any (left_pause);
  end if;
  if waits is not null then
    insert into dispatch.waits (job_id, ordinal, event, key, position, requested_position)
    select row.job_id, row.ordinal, row.event, row.key, job.position, job.requested_position
    from json_to_recordset(waits) as row (job_id text, ordinal integer, event text, key text)
    join dispatch.jobs as job on job.job_id = row.job_id;
  end if;
  if signals is not null then
    insert into dispatch.signals (signal_id, event, key, position)
    select signal_id, event, key, "position"
    from json_to_recordset(signals) as row (signal_id text, event text, key text, "position" bigint)
    on conflict do nothing;
  end if;
  if used is not null then
    insert into dispatch.used_signals (job_id, signal_id)
    select job_id, signal_id
    from json_to_recordset(used) as row (job_id text, signal_id text)
    on conflict do nothing;
  end if;

  select json_agg(line) into touched
  from (
    select workflow, key, strategy
    from json_to_recordset(opened) as row (workflow text, key text, strategy text)
    where key is not null
    union
    select workflow, key, strategy
    from json_to_recordset(gone) as row (workflow text, key text, strategy text)
  ) as line;
  if touched is null then return '{}'; end if;
  perform dispatch.straighten_lines(touched);
  return array(
    select distinct strategy from json_to_recordset(touched) as line (strategy text));
end $$;
