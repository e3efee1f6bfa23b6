-- Events that a read model cannot take, and how far a generation has come that several connections fill at once.
create table projections.poison (
  name       text        not null collate "C",
  generation integer     not null,
  position   bigint      not null,
  stream_id  text        not null collate "C",
  type       text        not null collate "C",
  -- STOPPED: the projection stands before it. SET_ASIDE: it and every later event of its stream wait. SKIPPED: it is
  -- passed over for good.
  state      text        not null check (state in ('STOPPED', 'SET_ASIDE', 'SKIPPED')),
  error      text        not null,
  tries      integer     not null default 1,
  since      timestamptz not null default clock_timestamp(),
  primary key (name, generation, position),
  foreign key (name, generation) references projections.generations on delete cascade
);

create view read.poison as
select poison.name, poison.generation, poison.position, poison.stream_id, poison.type, poison.state, poison.error,
       poison.tries, poison.since
from projections.poison as poison
join projections.generations as generation using (name, generation)
where generation.state = 'LIVE';

-- As before, but a generation that is being filled stands where the last of its slots does.
create or replace view read.projections as
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
       place.position,
       log_end.head,
       -- Exact, and 0 when there is nothing to do. A retired generation follows nothing.
       case when generation.state = 'RETIRED' then 0 else greatest(log_end.head - place.position, 0) end as lag,
       case when generation.state = 'RETIRED' then 0 else coalesce(extract(epoch from greatest(
         clock_timestamp() - (
           select event.recorded_at from log.events as event where event.position = place.position + 1
         ), '0'
       )), 0)::double precision end as lag_seconds,
       generation.events_per_second,
       generation.error,
       greatest(generation.updated_at, place.updated_at) as updated_at
from projections.generations as generation
join log.followers as follower on follower.name = 'projection:' || generation.name || ':' || generation.generation
cross join lateral (
  select coalesce(min(slot.position), follower.position) as position,
         greatest(follower.updated_at, max(slot.updated_at)) as updated_at
  from log.followers as slot
  where generation.state = 'BUILDING' and starts_with(slot.name, follower.name || '/')
) as place
cross join (select coalesce(max(position), 0) as head from log.events) as log_end;
