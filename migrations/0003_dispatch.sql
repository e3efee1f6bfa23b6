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
create index jobs_ready on dispatch.jobs (priority desc, line_position)
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
