-- Limits, debouncing, rates, deadlines, fair turns and schedules: what the dispatcher has to know for them.

alter table dispatch.jobs
  drop constraint jobs_concurrency_strategy_check,
  add constraint jobs_concurrency_strategy_check
    check (concurrency_strategy in ('supersede', 'queue', 'limit', 'debounce')),
  add column concurrency_limit integer,
  add column replaceable boolean not null default false,
  add column hold_until timestamptz,
  add column rate_key text collate "C",
  add column rate_limit integer,
  add column rate_per_ms bigint,
  add column rate text collate "C" check (rate in ('waiting', 'granted', 'begun')),
  add column deadline timestamptz;

update dispatch.jobs set concurrency_limit = 1 where concurrency_strategy = 'queue';

comment on column dispatch.jobs.line_position is
  'Where it was opened: by its request, or by the retry of a job that had ended. The order of lines, and of the hints of a repository.';
comment on column dispatch.jobs.blocked is
  'As many older jobs of its workflow and key are open as may be at a time.';
comment on column dispatch.jobs.concurrency_limit is
  'Strategy limit, and queue with 1: how many of its workflow and key may be open in front of those that wait.';
comment on column dispatch.jobs.superseded_by is
  'The newest open job of its workflow and key that was requested after it and takes its place.';
comment on column dispatch.jobs.replaceable is
  'Strategy debounce: no worker has had it and nobody has retried it, so that a newer one takes its place.';
comment on column dispatch.jobs.hold_until is
  'Strategy debounce: not before then. A reaction takes it away when it is over.';
comment on column dispatch.jobs.rate is
  'waiting: its rate does not let it start yet. granted: it counts as a start, and no worker has had it yet. begun: a worker has had it since it was opened.';
comment on column dispatch.jobs.version is
  'That of the event that began the phase. Steps do not count, and come only while it runs: in every other phase it is the version of the job''s stream.';
comment on column dispatch.jobs.takeable is
  'Its phase lets a worker take it: not paused, due if it is retrying, not held, and its rate lets it.';

-- To be hinted: by workflow, priority and repository, each repository's oldest first.
drop index dispatch.jobs_ready;
create index jobs_ready
  on dispatch.jobs (workflow, priority desc, (coalesce(repository, '')), line_position)
  where takeable and not blocked and superseded_by is null and hinted_at is null;
create index jobs_widest on dispatch.jobs (workflow, concurrency_key, concurrency_limit desc)
  where concurrency_limit is not null;
create index jobs_debounced on dispatch.jobs (workflow, concurrency_key, requested_position)
  where concurrency_strategy = 'debounce';
create index jobs_held on dispatch.jobs (hold_until) where hold_until is not null;
create index jobs_rate_waiting
  on dispatch.jobs (workflow, rate_key, priority desc, line_position)
  where rate = 'waiting' and hold_until is null and not blocked and superseded_by is null;
create index jobs_rate on dispatch.jobs (rate, workflow, rate_key)
  where rate in ('waiting', 'granted');
create index jobs_deadline on dispatch.jobs (deadline) where deadline is not null;

alter table dispatch.waits add column picky boolean not null default false;
comment on column dispatch.waits.picky is 'Not every payload ends it: the wait of the job says which.';

-- The debounced jobs of a workflow and key of which none has begun, from the first of them on.
create table dispatch.bursts (
  workflow text        not null collate "C",
  key      text        not null collate "C",
  job_id   text        not null collate "C" unique,
  began_at timestamptz not null,
  primary key (workflow, key)
);
comment on column dispatch.bursts.job_id is 'The newest of them.';

-- When jobs with a rate began, for as long as it counts.
create table dispatch.rate_starts (
  workflow text        not null collate "C",
  key      text        not null collate "C",
  at       timestamptz not null,
  until    timestamptz not null,
  job_id   text        not null collate "C"
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000);
create index rate_starts_at on dispatch.rate_starts (workflow, key, at);
create index rate_starts_until on dispatch.rate_starts (until);

-- Says anew who stands where in the lines that a job came into, began in or left; given [{workflow, key, strategy}].
-- queue, limit: the oldest are free to go, the others are blocked, as they were from their first moment.
-- supersede: each learns of the newest that came after it. debounce: each that has not begun does.
-- What the lines are is worked out first, by their indexes: joined the other way round, it is worked out per open job.
create or replace function dispatch.straighten_lines(touched json) returns void language plpgsql
-- Planned once for each connection, whatever the tables held then: planning took longer than the work.
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  with free as materialized (
    select member.job_id
    from (
      select distinct workflow, key
      from json_to_recordset(touched) as line (workflow text, key text)
    ) as line
    cross join lateral (
      select concurrency_limit from dispatch.jobs
      where workflow = line.workflow and concurrency_key = line.key
        and concurrency_limit is not null
      order by concurrency_limit desc limit 1
    ) as widest
    cross join lateral (
      select job_id, blocked, concurrency_limit, row_number() over (order by line_position) as place
      from dispatch.jobs
      where workflow = line.workflow and concurrency_key = line.key
      order by line_position limit widest.concurrency_limit
    ) as member
    where member.blocked and member.place <= member.concurrency_limit
  )
  update dispatch.jobs as job set blocked = false
  from free
  where job.job_id = free.job_id;

  with line as materialized (
    select
      line.workflow, line.key, newest.job_id as newest, newest.requested_position as newest_at,
      debounced.job_id as debounced, debounced.requested_position as debounced_at
    from (
      select workflow, key, bool_or(strategy in ('supersede', 'debounce')) as replacing
      from json_to_recordset(touched) as line (workflow text, key text, strategy text)
      group by workflow, key
    ) as line
    left join lateral (
      select job_id, requested_position from dispatch.jobs
      where workflow = line.workflow and concurrency_key = line.key
        and concurrency_strategy = 'supersede'
      order by requested_position desc limit 1
    ) as newest on true
    left join lateral (
      select job_id, requested_position from dispatch.jobs
      where workflow = line.workflow and concurrency_key = line.key
        and concurrency_strategy = 'debounce'
      order by requested_position desc limit 1
    ) as debounced on true
    -- A line that only queues is not read to its end.
    where replacing or newest.job_id is not null or debounced.job_id is not null
  ), older as materialized (
    select older.job_id, older.superseded_by,
      case
        when heir.at is null or older.requested_position >= heir.at then null
        when heir.at = line.newest_at then line.newest
        else line.debounced
      end as heir
    from line
    join dispatch.jobs as older
      on older.workflow = line.workflow and older.concurrency_key = line.key
    cross join lateral (
      select greatest(line.newest_at, case when older.replaceable then line.debounced_at end) as at
    ) as heir
  )
  update dispatch.jobs as job set superseded_by = older.heir
  from older
  where job.job_id = older.job_id and older.superseded_by is distinct from older.heir;
end $$;

-- Notes when jobs with a rate began, and gives the lines [{workflow, key, strategy}] of debounced jobs that did.
create function dispatch.note_starts(starts json) returns json language plpgsql
set plan_cache_mode = force_custom_plan as $$
declare
  lines json;
begin
  insert into dispatch.rate_starts (workflow, key, at, until, job_id)
  select workflow, rate_key, at, at + rate_per_ms * interval '1 ms', job_id
  from json_to_recordset(starts) as start (
    job_id text, at timestamptz, workflow text, rate_key text, rate_per_ms bigint)
  where rate_key is not null and at + rate_per_ms * interval '1 ms' > clock_timestamp();

  -- Mostly no job has a rate, and none is debounced.
  if exists (select from dispatch.jobs where rate in ('waiting', 'granted')) then
    insert into dispatch.rate_starts (workflow, key, at, until, job_id)
    select
      job.workflow, job.rate_key, start.at, start.at + job.rate_per_ms * interval '1 ms', job.job_id
    from json_to_recordset(starts) as start (job_id text, at timestamptz, workflow text)
    join dispatch.jobs as job on job.job_id = start.job_id
    where start.workflow is null and job.rate in ('waiting', 'granted')
      and start.at + job.rate_per_ms * interval '1 ms' > clock_timestamp();
  end if;

  if exists (select from dispatch.jobs where concurrency_strategy = 'debounce') then
    select json_agg(line) into lines
    from (
      select job.workflow, job.concurrency_key as key, job.concurrency_strategy as strategy
      from json_to_recordset(starts) as start (job_id text)
      join dispatch.jobs as job on job.job_id = start.job_id
      where job.replaceable
    ) as line;
  end if;
  return lines;
end $$;

-- Holds each debounced job until its burst is over: so long after its request, and no longer than that after the first
-- of its burst. A burst is over when its newest job begins or ends. One change after the other, as in the log, so that
-- what comes of it does not depend on where pages begin.
create function dispatch.follow_bursts(changes json) returns void language plpgsql as $$
declare
  change record;
  began timestamptz;
begin
  for change in
    select row.*
    from json_array_elements(changes) with ordinality as each (value, place)
    cross join lateral json_to_record(each.value) as row (
      job_id text, workflow text, key text, at timestamptz, quiet_ms bigint, max_wait_ms bigint)
    order by each.place
  loop
    if change.key is null then
      delete from dispatch.bursts where job_id = change.job_id;
    else
      insert into dispatch.bursts as burst (workflow, key, job_id, began_at)
      values (change.workflow, change.key, change.job_id, change.at)
      on conflict (workflow, key) do update set job_id = excluded.job_id
      returning began_at into began;
      update dispatch.jobs
      set takeable = false, hold_until = least(
        change.at + change.quiet_ms * interval '1 ms', began + change.max_wait_ms * interval '1 ms')
      where job_id = change.job_id and replaceable;
    end if;
  end loop;
end $$;

drop function dispatch.write_page(
  text, bigint, bigint, bigint, text[], json, json, text[], json, json, json);

-- Writes a folded page of the log and moves the follower's checkpoint over it, in one call: each round trip that is
-- saved is time off the way from a delivery to its job's start. Gives the strategies of the lines it touched, and 'rate'
-- while jobs wait for their rate; or null when the checkpoint is no longer the caller's, and then nothing was written.
--
-- opened and moved: what the jobs' rows become; hinted_at is set when whoever appended has published the hint. starts:
-- jobs that a worker took, with what they are if the page says it. bursts: in the order of the log, each request of a
-- debounced job, and between them each job that began or ended; null without such a request.
create function dispatch.write_page(
  follower text, term bigint, position_before bigint, position_after bigint,
  ended text[], opened json, moved json, left_pause text[], waits json, signals json, used json,
  starts json, bursts json
) returns text[] language plpgsql
set plan_cache_mode = force_custom_plan as $$
declare
  touched json;
  gone json;
  begun json;
  touched_strategies text[];
begin
  -- What is written here can be derived again, so it need not wait for the disk.
  perform set_config('synchronous_commit', 'off', true);
  -- First, as everybody locks the checkpoint before the tables: a reset and a page wait for each other.
  update log.followers set position = position_after, updated_at = clock_timestamp()
  where name = follower and epoch = term and position = position_before;
  if not found then return null; end if;

  if starts is not null then
    begun := dispatch.note_starts(starts);
  end if;
  if bursts is null and exists (select from dispatch.bursts) then
    delete from dispatch.bursts
    where job_id = any (ended)
      or job_id in (select job_id from json_to_recordset(starts) as start (job_id text));
  end if;

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
      concurrency_key, concurrency_strategy, concurrency_limit, replaceable, blocked,
      rate_key, rate_limit, rate_per_ms, rate, deadline, phase, version, position, since,
      run_id, worker_id, wait, wait_until, wait_topic, next_attempt_at, takeable, hinted_at)
    select
      job_id, workflow, repository, priority, requested_position, line_position,
      key, strategy, "limit", replaceable, "limit" is not null,
      rate_key, rate_limit, rate_per_ms, rate, deadline, phase, version, "position", since,
      run_id, worker_id, wait::json, wait_until, wait_topic, next_attempt_at,
      takeable and rate is distinct from 'waiting', hinted_at
    from json_to_recordset(opened) as row (
      job_id text, workflow text, repository text, priority smallint, requested_position bigint,
      line_position bigint, key text, strategy text, "limit" integer, replaceable boolean,
      rate_key text, rate_limit integer, rate_per_ms bigint, rate text, deadline timestamptz,
      phase text, version integer, "position" bigint, since timestamptz, run_id text,
      worker_id text, wait text, wait_until timestamptz, wait_topic text,
      next_attempt_at timestamptz, takeable boolean, hinted_at timestamptz)
    on conflict (job_id) do update set
      workflow = excluded.workflow, repository = excluded.repository, priority = excluded.priority,
      requested_position = excluded.requested_position, line_position = excluded.line_position,
      concurrency_key = excluded.concurrency_key, blocked = excluded.blocked, superseded_by = null,
      concurrency_strategy = excluded.concurrency_strategy,
      concurrency_limit = excluded.concurrency_limit, replaceable = excluded.replaceable,
      hold_until = null, rate_key = excluded.rate_key, rate_limit = excluded.rate_limit,
      rate_per_ms = excluded.rate_per_ms, rate = excluded.rate, deadline = excluded.deadline,
      phase = excluded.phase, version = excluded.version, position = excluded.position, since = excluded.since,
      run_id = excluded.run_id, worker_id = excluded.worker_id, wait = excluded.wait,
      wait_until = excluded.wait_until, wait_topic = excluded.wait_topic,
      next_attempt_at = excluded.next_attempt_at, takeable = excluded.takeable,
      hinted_at = excluded.hinted_at;
  end if;

  if moved is not null then
    update dispatch.jobs as job
    set phase = row.phase, version = row.version, position = row.position, since = row.since,
        run_id = row.run_id, worker_id = row.worker_id, wait = row.wait::json,
        wait_until = row.wait_until, wait_topic = row.wait_topic,
        next_attempt_at = row.next_attempt_at, takeable = row.takeable,
        hinted_at = row.hinted_at,
        -- Whatever moves a job comes after a worker has had it.
        replaceable = false, hold_until = null, rate = case when rate is not null then 'begun' end
    from json_to_recordset(moved) as row (
      job_id text, phase text, version integer, "position" bigint, since timestamptz,
      run_id text, worker_id text, wait text, wait_until timestamptz, wait_topic text,
      next_attempt_at timestamptz, takeable boolean, hinted_at timestamptz)
    where job.job_id = row.job_id;
  end if;

  if cardinality(left_pause) > 0 then
    delete from dispatch.waits where job_id = any (left_pause);
  end if;
  if waits is not null then
    insert into dispatch.waits (job_id, ordinal, event, key, picky, position, requested_position)
    select
      row.job_id, row.ordinal, row.event, row.key, row.picky, job.position, job.requested_position
    from json_to_recordset(waits) as row (
      job_id text, ordinal integer, event text, key text, picky boolean)
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

  if bursts is not null then
    perform dispatch.follow_bursts(bursts);
  end if;

  select json_agg(line) into touched
  from (
    select workflow, key, strategy
    from json_to_recordset(opened) as row (workflow text, key text, strategy text)
    where key is not null
    union
    select workflow, key, strategy
    from json_to_recordset(gone) as row (workflow text, key text, strategy text)
    union
    select workflow, key, strategy
    from json_to_recordset(begun) as row (workflow text, key text, strategy text)
  ) as line;
  if touched is not null then
    perform dispatch.straighten_lines(touched);
    select array_agg(distinct strategy) into touched_strategies
    from json_to_recordset(touched) as line (strategy text);
  end if;
  if exists (select from dispatch.jobs where rate = 'waiting') then
    touched_strategies := touched_strategies || array['rate'];
  end if;
  return coalesce(touched_strategies, '{}');
end $$;

-- How many jobs of each workflow are hinted and not taken, and the oldest hint of those that may still be taken. By the
-- index of hints, however many jobs wait.
create function dispatch.outstanding()
returns table (workflow text, hinted integer, oldest timestamptz) language sql stable
set enable_seqscan = off set jit = off
as $$
  select workflow, count(*)::integer,
    min(hinted_at) filter (where not blocked and superseded_by is null)
  from dispatch.jobs where takeable and hinted_at is not null
  group by workflow
$$;

-- The jobs to hint next, so that at most `room_each` hints of each workflow are out: the highest priority first, and
-- within it the repositories in turn, beginning after the one that cursors [{workflow, priority, repository}] names;
-- each gives its oldest. Reads about as many rows as it gives, however many wait. Where some repositories have too few
-- jobs to fill their share, it gives fewer than there is room for: `more` says that its repository was cut off.
create function dispatch.next_hints(room_each integer, cursors json)
returns table (
  job_id text, workflow text, phase text, version integer, "position" bigint, priority smallint,
  repository text, more boolean
) language plpgsql stable
-- The index has the order; what the tables held when a plan was made must not lead away from it. The costs that this
-- makes up would call for jit.
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
#variable_conflict use_column
declare
  of_workflow text := '';
  of_priority integer;
  room integer;
  share integer;
  last_turn text;
  turns text[];
  cut_off boolean;
begin
  loop
    select job.workflow into of_workflow from dispatch.jobs as job
    where job.takeable and not job.blocked and job.superseded_by is null and job.hinted_at is null
      and job.workflow > of_workflow
    order by job.workflow limit 1;
    exit when not found;
    select room_each - count(*) into room
    from dispatch.jobs as job
    where job.takeable and job.hinted_at is not null and job.workflow = of_workflow;
    of_priority := 10;
    cut_off := false;
    while room > 0 and not cut_off loop
      select job.priority into of_priority from dispatch.jobs as job
      where job.takeable and not job.blocked and job.superseded_by is null and job.hinted_at is null
        and job.workflow = of_workflow and job.priority < of_priority
      order by job.priority desc limit 1;
      exit when not found;
      last_turn := (
        select each.repository
        from json_to_recordset(cursors) as each (workflow text, priority integer, repository text)
        where each.workflow = of_workflow and each.priority = of_priority);
      turns := dispatch.turns(of_workflow, of_priority, coalesce(last_turn, ''), room);
      share := (room + cardinality(turns) - 1) / cardinality(turns);
      for job_id, phase, version, "position", repository, more in
        select
          next.job_id, next.phase, next.version, next.position, turn.repository,
          next.round = share and cardinality(turns) > 1
        from unnest(turns) with ordinality as turn (repository, place)
        cross join lateral (
          select job.job_id, job.phase, job.version, job.position,
            row_number() over (order by job.line_position) as round
          from dispatch.jobs as job
          where job.takeable and not job.blocked and job.superseded_by is null
            and job.hinted_at is null and job.workflow = of_workflow
            and job.priority = of_priority and coalesce(job.repository, '') = turn.repository
          order by job.line_position limit share
        ) as next
        order by next.round, turn.place
        limit room
      loop
        workflow := of_workflow;
        priority := of_priority;
        room := room - 1;
        cut_off := cut_off or more;
        return next;
      end loop;
    end loop;
  end loop;
end $$;

-- Up to `most` repositories with ready jobs, in order from the one after `last_turn` and round to it again.
create function dispatch.turns(
  of_workflow text, of_priority integer, last_turn text, most integer
) returns text[] language sql stable as $$
  with recursive turn (repository, place, wrapped) as (
    (select last_turn collate "C", 0, false)
    union all
    select next.repository, turn.place + 1, next.wrapped
    from turn
    cross join lateral (
      (select coalesce(job.repository, '') as repository, turn.wrapped as wrapped
       from dispatch.jobs as job
       where job.takeable and not job.blocked and job.superseded_by is null
         and job.hinted_at is null and job.workflow = of_workflow and job.priority = of_priority
         and coalesce(job.repository, '') > turn.repository
         and (not turn.wrapped or coalesce(job.repository, '') <= last_turn)
       order by coalesce(job.repository, '') limit 1)
      union all
      (select coalesce(job.repository, ''), true
       from dispatch.jobs as job
       where not turn.wrapped
         and job.takeable and not job.blocked and job.superseded_by is null
         and job.hinted_at is null and job.workflow = of_workflow and job.priority = of_priority
         and coalesce(job.repository, '') <= last_turn
       order by coalesce(job.repository, '') limit 1)
      limit 1
    ) as next
    where turn.place < most
  )
  select array_agg(repository order by place) from turn where place > 0
$$;

-- What each worker process says of its workflows: a row is alive for as long as it is seen. The dispatcher follows the
-- schedules of those that are alive, so that two versions can run side by side.
create table dispatch.declarations (
  id           text        primary key collate "C",
  started_at   timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp(),
  workflows    text[]      not null,
  schedules    json        not null
) with (fillfactor = 50);

-- What starts by the clock. Not from the log: when a job is due follows from next_at, and its id from that time.
create table dispatch.schedules (
  workflow    text        not null collate "C",
  name        text        not null collate "C",
  cron        text        not null,
  time_zone   text        not null,
  job         json        not null,
  next_at     timestamptz,
  last_at     timestamptz,
  last_job_id text        collate "C",
  paused_at   timestamptz,
  paused_by   text,
  declared_at timestamptz not null default clock_timestamp(),
  primary key (workflow, name)
);
comment on column dispatch.schedules.job is 'What its jobs are requested with, but for the time in the trigger''s deliveryId.';
comment on column dispatch.schedules.next_at is 'null: the dispatcher has to work it out.';
comment on column dispatch.schedules.last_at is 'The time for which it last started a job.';
comment on column dispatch.schedules.declared_at is 'When a worker was last seen to have it.';
