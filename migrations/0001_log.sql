-- The log: the only truth. One table, one function that writes it, nothing that changes it.
create schema log;

create table log.events (
  position       bigint      not null,
  recorded_at    timestamptz not null,
  occurred_at    timestamptz not null,
  event_id       uuid        not null,
  version        integer     not null,
  schema_version smallint    not null,
  stream_id      text        not null collate "C",
  type           text        not null collate "C",
  data           json        not null,
  metadata       json        not null,
  constraint events_position primary key (position),
  constraint events_stream unique (stream_id, version),
  constraint events_id unique (event_id),
  constraint events_place check (position > 0 and version > 0)
);

comment on table log.events is 'Append-only: written by log.append and by nothing else.';
comment on column log.events.position is '1, 2, 3 ... in the order of commits, without gaps.';
comment on column log.events.occurred_at is 'When it happened, as the writer says.';
comment on column log.events.recorded_at is 'When it was stored.';

-- lz4 halves the cost of storing what is compressed at all (over 2 KB); a server may be built without it.
do $$
begin
  if (select 'lz4' = any (enumvals) from pg_settings where name = 'default_toast_compression') then
    alter table log.events alter column data set compression lz4;
  end if;
end $$;

create function log.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% of log.events is refused: events are facts and are only ever added', tg_op
    using errcode = 'restrict_violation';
end $$;

create trigger events_are_facts before update or delete or truncate on log.events
  for each statement execute function log.refuse_change();

-- Waits until no other transaction appends, until the end of this one. A transaction that locks rows of its own
-- and then appends takes its turn first: two of them could deadlock otherwise.
create function log.take_turn() returns void language plpgsql as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'log.append needs READ COMMITTED: the snapshot of % is older than the wait for its turn',
      current_setting('transaction_isolation')
      using errcode = 'invalid_transaction_state';
  end if;
  -- Released after the commit is visible to every snapshot, so the next appender sees these events.
  perform pg_advisory_xact_lock(5501426914227312492);
end $$;

-- log.append when its commands are not all as plain as they mostly are: the same arguments, and its turn is taken.
create function log.append_mixed(
  streams text[], expected integer[],
  event_commands integer[], event_places integer[], event_ids uuid[], event_types text[],
  schema_versions smallint[], occurrences timestamptz[], event_data json[], event_metadata json[]
) returns table (command integer, status text, first_position bigint, last_version integer)
language plpgsql set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  head bigint;
  clock timestamptz;
begin
  select coalesce(max(position), 0) into head from log.events;
  clock := clock_timestamp();

  return query
  with event as materialized (
    select *
    from unnest(event_commands, event_places, event_ids, event_types, schema_versions, occurrences,
                event_data, event_metadata)
      as given (command, place, id, type, schema_version, occurred_at, data, metadata)
  ), counted as (
    select command, count(*)::integer as events from event group by command
  ), known as (
    -- What is in the log already: a duplicate is the same run of events of the same stream.
    select event.command, count(*)::integer as events, min(stored.stream_id) as stream_id,
           min(stored.position - event.place) as before_position, max(stored.position - event.place) as check_position,
           min(stored.version - event.place) as before_version
    from event
    cross join lateral (
      select position, version, stream_id from log.events where event_id = event.id
    ) as stored
    group by event.command
  ), decided as (
    select given.command, given.stream_id, coalesce(counted.events, 0) as events, present.version,
           known.before_position, known.before_version,
           case
             when known.command is null then
               case
                 when given.expected is null or given.expected = present.version
                   or (given.expected = -1 and present.version > 0) then 'appended'
                 else 'conflict'
               end
             when known.events = counted.events and known.stream_id = given.stream_id
               and known.before_position = known.check_position then 'duplicate'
             else 'id_conflict'
           end as status
    from unnest(streams, expected) with ordinality as given (stream_id, expected, command)
    cross join lateral (
      select coalesce(
        (select version from log.events where stream_id = given.stream_id order by version desc limit 1), 0
      ) as version
      offset 0 -- or the planner looks it up once for each place where it is used
    ) as present
    left join counted on counted.command = given.command
    left join known on known.command = given.command
  ), accepted as (
    select decided.*, head + sum(events) over (order by command) - events as before
    from decided where status = 'appended'
  ), inserted as (
    insert into log.events (position, recorded_at, occurred_at, event_id, version, schema_version,
                            stream_id, type, data, metadata)
    select accepted.before + event.place, clock, event.occurred_at, event.id,
           accepted.version + event.place, event.schema_version,
           accepted.stream_id, event.type, event.data, event.metadata
    from event join accepted on accepted.command = event.command
  )
  select decided.command::integer, decided.status,
         case decided.status
           when 'appended' then (accepted.before + 1)::bigint
           when 'duplicate' then decided.before_position + 1
         end,
         case decided.status
           when 'appended' then decided.version + decided.events
           when 'duplicate' then decided.before_version + decided.events
           else decided.version
         end
  from decided left join accepted on accepted.command = decided.command
  order by decided.command;
end $$;

-- Appends many independent commands, each wholly or not at all, and answers each in order:
--   appended     stored now, from first_position on; the stream is at last_version
--   duplicate    these very events are there already, from first_position to last_version
--   conflict     the stream is at last_version, not where it was expected
--   id_conflict  some of the ids are taken by other events
-- Command i is streams[i] and expected[i] (null: any version, -1: it must exist, 0: it must not, n: exactly n).
-- The event arrays run in parallel: events of command i in their order, event_commands = i, event_places = 1, 2, 3 ...
-- At most one command per stream, and no id twice, in one call: that is a unique violation, and nothing is stored.
create function log.append(
  streams text[], expected integer[],
  event_commands integer[], event_places integer[], event_ids uuid[], event_types text[],
  schema_versions smallint[], occurrences timestamptz[], event_data json[], event_metadata json[]
) returns table (command integer, status text, first_position bigint, last_version integer)
-- A plan made while the table was empty stays in use while it grows: it must never be a scan of the table.
language plpgsql set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  head bigint;
  clock timestamptz;
begin
  perform log.take_turn();
  if exists (
    select from unnest(streams, expected) as given (stream_id, expected)
    where given.expected is distinct from coalesce(
      (select version from log.events where stream_id = given.stream_id order by version desc limit 1), 0)
  ) or exists (select from log.events where event_id = any (event_ids)) then
    return query
    select * from log.append_mixed(streams, expected, event_commands, event_places, event_ids, event_types,
                                   schema_versions, occurrences, event_data, event_metadata);
    return;
  end if;

  -- Nothing to decide: every stream is where it is expected, and every event is new.
  select coalesce(max(position), 0) into head from log.events;
  clock := clock_timestamp();
  insert into log.events (position, recorded_at, occurred_at, event_id, version, schema_version,
                          stream_id, type, data, metadata)
  select head + event.number, clock, event.occurred_at, event.id, given.expected + event.place,
         event.schema_version, given.stream_id, event.type, event.data, event.metadata
  from unnest(event_commands, event_places, event_ids, event_types, schema_versions, occurrences,
              event_data, event_metadata) with ordinality
    as event (command, place, id, type, schema_version, occurred_at, data, metadata, number)
  join unnest(streams, expected) with ordinality as given (stream_id, expected, command)
    on given.command = event.command;

  return query
  select event.command, 'appended', head + min(number), max(expected[event.command] + event.place)
  from unnest(event_commands, event_places) with ordinality as event (command, place, number)
  group by event.command
  order by event.command;
end $$;

-- One row per follower: how far it has read, and who may say so (the epoch of the one that leads).
create table log.followers (
  name       text        primary key collate "C",
  position   bigint      not null default 0 check (position >= 0),
  epoch      bigint      not null default 0,
  updated_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
