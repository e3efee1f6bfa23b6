-- The delivery log: every authentic webhook as it came, once, with the jobs that it asked for.
create schema ingress;

create table ingress.deliveries (
  id           uuid        primary key,
  received_at  timestamptz not null,
  source       text        not null collate "C",
  provider     text        not null,
  delivery_id  text        not null,
  delivery_key text        not null collate "C",
  body_sha256  bytea       not null,
  event        text        not null,
  action       text,
  outcome      text        not null check (outcome in ('accepted', 'ignored', 'unmappable')),
  reason       text,
  repository   text,
  triggers     json        not null,
  jobs         json        not null,
  headers      json        not null,
  body         bytea       not null,
  constraint deliveries_key unique (source, delivery_key)
);

create index deliveries_body on ingress.deliveries (source, body_sha256);
create index deliveries_received on ingress.deliveries (received_at desc, id desc);
create index deliveries_delivery_id on ingress.deliveries (delivery_id);

do $$
begin
  if (select 'lz4' = any (enumvals) from pg_settings where name = 'default_toast_compression') then
    alter table ingress.deliveries alter column body set compression lz4;
    alter table ingress.deliveries alter column triggers set compression lz4;
    alter table ingress.deliveries alter column headers set compression lz4;
  end if;
end $$;

-- Stores deliveries and appends the events of their jobs, in one transaction, and answers each in order:
--   new          stored now (or by this same call before: the answer may have been lost)
--   duplicate    it came before, as the row given; its jobs are the first one's
--   id-conflict  its key came before with another body
-- Delivery i is the i-th element of each of the first arrays. Event arrays run in parallel: one event, the first of
-- its stream, for each job of delivery event_deliveries[k].
-- No key and no body may stand twice in one call.
create function ingress.accept_deliveries(
  ids uuid[], received timestamptz[], sources text[], providers text[], delivery_ids text[], keys text[],
  hashes bytea[], same_body_counts boolean[], events text[], actions text[], outcomes text[], reasons text[],
  repositories text[], all_triggers json[], all_jobs json[], all_headers json[], bodies bytea[],
  event_deliveries integer[], streams text[], event_ids uuid[], event_types text[], occurrences timestamptz[],
  event_data json[], event_metadata json[]
) returns table (delivery integer, status text, id uuid, jobs json)
language plpgsql as $$
#variable_conflict use_column
declare
  fresh integer[];
  requested record;
begin
  perform log.take_turn();

  select array_agg(given.place::integer) into fresh
  from unnest(sources, keys, hashes, same_body_counts) with ordinality
    as given (source, key, hash, same_body, place)
  where not exists (
    select from ingress.deliveries as known
    where known.source = given.source and known.delivery_key = given.key
  ) and not exists (
    select from ingress.deliveries as known
    where given.same_body and known.source = given.source and known.body_sha256 = given.hash
  );

  insert into ingress.deliveries (
    id, received_at, source, provider, delivery_id, delivery_key, body_sha256, event, action, outcome, reason,
    repository, triggers, jobs, headers, body)
  select given.id, received_at, source, provider, delivery_id, key, hash, event, action, outcome, reason,
         repository, triggers, given.jobs, headers, body
  from unnest(ids, received, sources, providers, delivery_ids, keys, hashes, events, actions, outcomes, reasons,
              repositories, all_triggers, all_jobs, all_headers, bodies) with ordinality
    as given (id, received_at, source, provider, delivery_id, key, hash, event, action, outcome, reason,
              repository, triggers, jobs, headers, body, place)
  where place = any (fresh);

  select array_agg(stream order by place) as streams,
         array_agg(0) as expected,
         array_agg(number::integer order by place) as commands,
         array_agg(1) as places,
         array_agg(event_id order by place) as ids,
         array_agg(type order by place) as types,
         array_agg(1::smallint) as schema_versions,
         array_agg(occurred_at order by place) as occurrences,
         array_agg(data order by place) as data,
         array_agg(metadata order by place) as metadata
  into requested
  from (
    select given.*, row_number() over (order by place) as number
    from unnest(event_deliveries, streams, event_ids, event_types, occurrences, event_data, event_metadata)
      with ordinality as given (of_delivery, stream, event_id, type, occurred_at, data, metadata, place)
    where of_delivery = any (fresh)
  ) as wanted;

  if requested.streams is not null then
    perform log.append(requested.streams, requested.expected, requested.commands, requested.places,
      requested.ids, requested.types, requested.schema_versions, requested.occurrences, requested.data,
      requested.metadata);
  end if;

  return query
  select given.place::integer,
         case
           when known.id = given.id then 'new'
           when known.body_sha256 = given.hash then 'duplicate'
           else 'id-conflict'
         end,
         known.id, known.jobs
  from unnest(ids, sources, keys, hashes, same_body_counts) with ordinality
    as given (id, source, key, hash, same_body, place)
  cross join lateral (
    select candidate.id, candidate.body_sha256, candidate.jobs
    from (
      select stored.id, stored.body_sha256, stored.jobs, 1 as preference from ingress.deliveries as stored
      where stored.source = given.source and stored.delivery_key = given.key
      union all
      (select stored.id, stored.body_sha256, stored.jobs, 2 from ingress.deliveries as stored
       where given.same_body and stored.source = given.source and stored.body_sha256 = given.hash
       order by stored.received_at limit 1)
    ) as candidate
    order by candidate.preference limit 1
  ) as known
  order by given.place;
end $$;
