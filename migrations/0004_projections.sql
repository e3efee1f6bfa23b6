-- Read models. `projections` holds their tables, one set per generation; `read` holds what may be queried: views of
-- the live generation. Generation 1 of each projection is made here, so that the views exist from the start; a test
-- holds it equal to what the code would make. Later generations are made by a rebuild.
create schema projections;
create schema read;

create table projections.generations (
  name              text        not null collate "C",
  generation        integer     not null check (generation > 0),
  -- The version of the projection's code that wrote the rows.
  version           integer     not null,
  state             text        not null check (state in ('LIVE', 'BUILDING', 'RETIRED')),
  paused            boolean     not null default false,
  -- Whether its secondary indexes are there.
  indexed           boolean     not null default false,
  -- Why it stands still, until it is resumed.
  error             text,
  events_per_second double precision,
  tables            text[]      not null,
  created_at        timestamptz not null default clock_timestamp(),
  updated_at        timestamptz not null default clock_timestamp(),
  primary key (name, generation)
);

-- A number is never used twice: whoever built a generation that was cancelled has no right to another one.
create sequence projections.generation_numbers as integer start 2;

create unique index generations_one_live on projections.generations (name) where state = 'LIVE';

comment on table projections.generations is
  'How far each has read, and who may say so, stands in log.followers under projection:<name>:<generation>.';

create table projections.jobs_1 (
  job_id          text        primary key collate "C",
  workflow        text        not null collate "C",
  status          text        not null collate "C",
  provider        text        not null collate "C",
  source          text        not null collate "C",
  repository      text        collate "C",
  pull_request    integer,
  title           text,
  ref             text        collate "C",
  head_sha        text        collate "C",
  sender          text        collate "C",
  concurrency_key text        collate "C",
  priority        smallint    not null,
  attempt         integer     not null,
  max_attempts    integer     not null,
  requested_at    timestamptz not null,
  started_at      timestamptz,
  finished_at     timestamptz,
  updated_at      timestamptz not null,
  duration_ms     bigint,
  error_message   text,
  worker_id       text        collate "C",
  delivery_id     text        collate "C",
  version         integer     not null,
  position        bigint      not null,
  view            json        not null
);
create index on projections.jobs_1 (requested_at, job_id);
create index on projections.jobs_1 (updated_at, job_id);
create index on projections.jobs_1 (status, requested_at, job_id);
create index on projections.jobs_1 (workflow, requested_at, job_id);
create index on projections.jobs_1 (repository, requested_at, job_id);
create index on projections.jobs_1 ((coalesce(duration_ms, -1)), job_id);
create index on projections.jobs_1 (finished_at) where finished_at is not null;
create index on projections.jobs_1 (head_sha) where head_sha is not null;

create table projections.job_steps_1 (
  job_id      text        not null collate "C",
  ordinal     integer     not null,
  name        text        not null,
  attempt     integer     not null,
  started_at  timestamptz not null,
  finished_at timestamptz not null,
  output      json        not null,
  primary key (job_id, ordinal)
);

create table projections.job_stats_1 (
  minute    timestamptz not null,
  workflow  text        not null collate "C",
  requested integer     not null,
  completed integer     not null,
  failed    integer     not null,
  primary key (minute, workflow)
) with (fillfactor = 50);

insert into projections.generations (name, generation, version, state, indexed, tables) values
  ('jobs', 1, 1, 'LIVE', true, array['jobs', 'job_steps']),
  ('job_stats', 1, 1, 'LIVE', true, array['job_stats']);

insert into log.followers (name) values ('projection:jobs:1'), ('projection:job_stats:1');

create view read.jobs as select * from projections.jobs_1;
create view read.job_steps as select * from projections.job_steps_1;
create view read.job_stats as select * from projections.job_stats_1;

create view read.projections as
select generation.name,
       generation.generation,
       generation.version,
       case
         when generation.state = 'RETIRED' then 'RETIRED'
         when generation.error is not null then 'FAILED'
         when generation.paused then 'PAUSED'
         else generation.state
       end as status,
       -- Whether the views of `read` show this generation.
       generation.state = 'LIVE' as live,
       follower.position,
       log_end.head,
       -- Exact, and 0 when there is nothing to do. A retired generation follows nothing.
       case when generation.state = 'RETIRED' then 0 else greatest(log_end.head - follower.position, 0) end as lag,
       case when generation.state = 'RETIRED' then 0 else coalesce(extract(epoch from greatest(
         clock_timestamp() - (
           select event.recorded_at from log.events as event where event.position = follower.position + 1
         ), '0'
       )), 0)::double precision end as lag_seconds,
       generation.events_per_second,
       generation.error,
       greatest(generation.updated_at, follower.updated_at) as updated_at
from projections.generations as generation
join log.followers as follower on follower.name = 'projection:' || generation.name || ':' || generation.generation
cross join (select coalesce(max(position), 0) as head from log.events) as log_end;
