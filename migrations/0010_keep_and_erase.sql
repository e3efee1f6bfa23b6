-- The archive: the events of finished jobs, out of the way of the log's own table and indexes, and still part of the
-- log. The last event of each stream stays in log.events: it says where the stream stands, so an append to it, a
-- delivery that comes again and the numbering of positions need not know that there is an archive.
create schema archive;

create table archive.events (like log.events including all);

comment on table archive.events is 'Moved here by archive.take and by nothing else, as they were.';

create table archive.jobs (
  job_id         text        primary key collate "C",
  events         integer     not null,
  first_position bigint      not null,
  last_position  bigint      not null,
  -- Of its events, as archive.digest gives it.
  sha256         bytea       not null,
  archived_at    timestamptz not null default clock_timestamp()
);
create index jobs_archived on archive.jobs (archived_at);

-- Every event, wherever it is kept.
create view log.all_events as
select * from log.events
union all
select * from archive.events;

create function archive.is_archiving() returns boolean language sql stable as $$
  select coalesce(current_setting('jobledger.archiving', true), '') = 'on'
$$;

-- Events are facts and are only ever added. One thing may take some out of this table: archive.take.
create or replace function log.refuse_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and archive.is_archiving() then return null; end if;
  raise exception '% of log.events is refused: events are facts and are only ever added', tg_op
    using errcode = 'restrict_violation';
end $$;

-- Even then, an event goes only if the same event is in the archive and is not the last of its stream.
create function log.refuse_loss() returns trigger language plpgsql as $$
begin
  if archive.is_archiving() and exists (
    select from archive.events as copy
    where copy.position = old.position and copy.event_id = old.event_id and copy.version = old.version
      and copy.stream_id = old.stream_id and copy.type = old.type
      and copy.schema_version = old.schema_version
      and copy.occurred_at = old.occurred_at and copy.recorded_at = old.recorded_at
      and copy.data::text = old.data::text and copy.metadata::text = old.metadata::text
  ) and exists (
    select from log.events as later where later.stream_id = old.stream_id and later.version > old.version
  ) then
    return old;
  end if;
  raise exception 'Event % is not in the archive, or is the last of its stream: it stays', old.position
    using errcode = 'restrict_violation';
end $$;

create trigger events_are_not_lost before delete on log.events
  for each row execute function log.refuse_loss();

-- The same for the same events, on every server and in every session.
create function archive.line(event archive.events) returns text language sql immutable as $$
  select concat_ws(' ', event.position, event.stream_id, event.version, event.event_id, event.type,
    event.schema_version, (extract(epoch from event.occurred_at) * 1000000)::bigint,
    (extract(epoch from event.recorded_at) * 1000000)::bigint, event.data::text, event.metadata::text)
$$;

create function archive.digest(job text) returns bytea language sql stable as $$
  select sha256(convert_to(string_agg(archive.line(event), e'\n' order by event.version), 'UTF8'))
  from archive.events as event where event.stream_id = job
$$;

-- Moves the events of those of the jobs that ended before a time and were not retried since; all but the last of each.
-- Appends are not held up, and what is appended meanwhile stays where it is.
create function archive.take(wanted text[], ended_before timestamptz, out jobs integer, out events integer)
language plpgsql as $$
declare
  chosen text[];
  ends integer[];
begin
  select array_agg(job), array_agg(ending.version) into chosen, ends
  from unnest(wanted) as job
  cross join lateral (
    select version, type, recorded_at from log.events
    where stream_id = job order by version desc limit 1
  ) as ending
  where ending.type in ('JobCompleted', 'JobFailed', 'JobCancelled', 'JobSuperseded')
    and ending.recorded_at < ended_before;

  insert into archive.events
  select event.*
  from unnest(chosen, ends) as job (id, ending)
  join log.events as event on event.stream_id = job.id and event.version < job.ending;
  get diagnostics events = row_count;

  insert into archive.jobs (job_id, events, first_position, last_position, sha256)
  select stream_id, count(*), min(position), max(position), archive.digest(stream_id)
  from archive.events where stream_id = any (chosen)
  group by stream_id
  on conflict (job_id) do update set
    events = excluded.events, last_position = excluded.last_position, sha256 = excluded.sha256,
    archived_at = excluded.archived_at;
  get diagnostics jobs = row_count;

  perform set_config('jobledger.archiving', 'on', true);
  delete from log.events as event
  using unnest(chosen, ends) as job (id, ending)
  where event.stream_id = job.id and event.version < job.ending;
  perform set_config('jobledger.archiving', 'off', true);
end $$;

-- Keys of what names a person. Deleting a row erases it: what was sealed with its key can never be read again.
create schema privacy;

create table privacy.subjects (
  -- Stands in whatever is sealed; says nothing of the person.
  id         uuid        primary key,
  -- Of the name, with a key that is not in the database.
  name_hmac  bytea       not null unique,
  -- Encrypted with a key that is not in the database.
  sealed_key bytea       not null,
  created_at timestamptz not null default clock_timestamp()
);
