-- How long each request took until it was durable, and deliveries that are stored without reading the table.

alter table ingress.deliveries add column latency_ms real;

comment on column ingress.deliveries.latency_ms is
  'From the end of the request''s headers until the transaction that stored it was about to commit, or until it was given to the spool.';

-- What a delivery is known by comes first in its index. Else a plan that is made while the table is empty, when all
-- indexes look alike, might look through all deliveries of the source, and stay in use while they grow.
alter table ingress.deliveries drop constraint deliveries_key;
alter table ingress.deliveries add constraint deliveries_key unique (delivery_key, source);
drop index ingress.deliveries_body;
create index deliveries_body on ingress.deliveries (body_sha256, source);

-- Stores deliveries and appends the events of their jobs, in one transaction, and answers each in order:
--   new          stored now (or by this same call before: the answer may have been lost)
--   duplicate    it came before, as the row given; its jobs are the first one's
--   id-conflict  its key came before with another body
-- Delivery i is the i-th element of each of the first arrays; took[i] is how many milliseconds it took until this call,
-- or in all where it was durable before. Event arrays run in parallel: one event, the first of its stream, for each job
-- of delivery event_deliveries[k].
-- No key and no body may stand twice in one call.
create function ingress.accept_deliveries(
  ids uuid[], received timestamptz[], sources text[], providers text[], delivery_ids text[], keys text[],
  hashes bytea[], same_body_counts boolean[], events text[], actions text[], outcomes text[], reasons text[],
  repositories text[], all_triggers json[], all_jobs json[], all_headers json[], bodies bytea[],
  took real[], durable_before boolean[],
  event_deliveries integer[], streams text[], event_ids uuid[], event_types text[], occurrences timestamptz[],
  event_data json[], event_metadata json[]
) returns table (delivery integer, status text, id uuid, jobs json)
-- A plan made while the table was empty stays in use while it grows: it must never be a scan of the table.
language plpgsql set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  fresh integer[];
  requested integer[];
  waited real;
begin
  perform log.take_turn();
  waited := extract(epoch from clock_timestamp() - statement_timestamp()) * 1000;

  -- With its limit each question is put to an index, and never joined with all of the table; `|| ''` keeps it from the
  -- indexes that begin with the source.
  select array_agg(given.place::integer) into fresh
  from unnest(sources, keys, hashes, same_body_counts) with ordinality
    as given (source, key, hash, same_body, place)
  where (
    select true from ingress.deliveries as known
    where known.source || '' = given.source and known.delivery_key = given.key limit 1
  ) is null and (not given.same_body or (
    select true from ingress.deliveries as known
    where known.source || '' = given.source and known.body_sha256 = given.hash limit 1
  ) is null);

  insert into ingress.deliveries (
    id, received_at, source, provider, delivery_id, delivery_key, body_sha256, event, action, outcome, reason,
    repository, triggers, jobs, headers, body, latency_ms)
  select given.id, received_at, source, provider, delivery_id, key, hash, event, action, outcome, reason,
         repository, triggers, given.jobs, headers, body, case when durable then took else took + waited end
  from unnest(ids, received, sources, providers, delivery_ids, keys, hashes, events, actions, outcomes, reasons,
              repositories, all_triggers, all_jobs, all_headers, bodies, took, durable_before) with ordinality
    as given (id, received_at, source, provider, delivery_id, key, hash, event, action, outcome, reason,
              repository, triggers, jobs, headers, body, took, durable, place)
  where place = any (fresh);

  if cardinality(fresh) = cardinality(ids) then
    if cardinality(streams) > 0 then
      perform log.append(streams, array_fill(0, array[cardinality(streams)]),
        array(select generate_series(1, cardinality(streams))), array_fill(1, array[cardinality(streams)]),
        event_ids, event_types, array_fill(1::smallint, array[cardinality(streams)]), occurrences,
        event_data, event_metadata);
    end if;
    return query
    select place::integer, 'new', given.id, given.jobs
    from unnest(ids, all_jobs) with ordinality as given (id, jobs, place);
    return;
  end if;

  select array_agg(place::integer order by place) into requested
  from unnest(event_deliveries) with ordinality as given (of_delivery, place)
  where of_delivery = any (fresh);

  if requested is not null then
    perform log.append(
      array(select streams[place] from unnest(requested) with ordinality as r (place, n) order by n),
      array_fill(0, array[cardinality(requested)]),
      array(select generate_series(1, cardinality(requested))), array_fill(1, array[cardinality(requested)]),
      array(select event_ids[place] from unnest(requested) with ordinality as r (place, n) order by n),
      array(select event_types[place] from unnest(requested) with ordinality as r (place, n) order by n),
      array_fill(1::smallint, array[cardinality(requested)]),
      array(select occurrences[place] from unnest(requested) with ordinality as r (place, n) order by n),
      array(select event_data[place] from unnest(requested) with ordinality as r (place, n) order by n),
      array(select event_metadata[place] from unnest(requested) with ordinality as r (place, n) order by n));
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
      (select stored.id, stored.body_sha256, stored.jobs, 1 as preference from ingress.deliveries as stored
       where stored.source || '' = given.source and stored.delivery_key = given.key limit 1)
      union all
      (select stored.id, stored.body_sha256, stored.jobs, 2 from ingress.deliveries as stored
       where given.same_body and stored.source || '' = given.source and stored.body_sha256 = given.hash limit 1)
    ) as candidate
    order by candidate.preference limit 1
  ) as known
  order by given.place;
end $$;

-- Does the same for one delivery with a large body, which is written before the log's turn is taken: nobody waits
-- for that. A delivery with the same key that is stored at this moment may be a deadlock, of which Postgres ends one.
create function ingress.accept_large_delivery(
  ids uuid[], received timestamptz[], sources text[], providers text[], delivery_ids text[], keys text[],
  hashes bytea[], same_body_counts boolean[], events text[], actions text[], outcomes text[], reasons text[],
  repositories text[], all_triggers json[], all_jobs json[], all_headers json[], bodies bytea[],
  took real[], durable_before boolean[],
  event_deliveries integer[], streams text[], event_ids uuid[], event_types text[], occurrences timestamptz[],
  event_data json[], event_metadata json[]
) returns table (delivery integer, status text, id uuid, jobs json)
language plpgsql set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  others uuid;
begin
  insert into ingress.deliveries (
    id, received_at, source, provider, delivery_id, delivery_key, body_sha256, event, action, outcome, reason,
    repository, triggers, jobs, headers, body)
  select ids[1], received[1], sources[1], providers[1], delivery_ids[1], keys[1], hashes[1], events[1], actions[1],
         outcomes[1], reasons[1], repositories[1], all_triggers[1], all_jobs[1], all_headers[1], bodies[1]
  where not (same_body_counts[1] and (
    select true from ingress.deliveries as known
    where known.source || '' = sources[1] and known.body_sha256 = hashes[1] limit 1
  ) is not null)
  on conflict do nothing;

  if not found then
    return query
    select * from ingress.accept_deliveries(
      ids, received, sources, providers, delivery_ids, keys, hashes, same_body_counts, events, actions, outcomes,
      reasons, repositories, all_triggers, all_jobs, all_headers, bodies, took, durable_before,
      event_deliveries, streams, event_ids, event_types, occurrences, event_data, event_metadata);
    return;
  end if;

  perform log.take_turn();
  select known.id into others from ingress.deliveries as known
  where same_body_counts[1] and known.source || '' = sources[1] and known.body_sha256 = hashes[1] and known.id <> ids[1]
  limit 1;
  if others is not null then
    delete from ingress.deliveries as mine where mine.id = ids[1];
    return query select 1, 'duplicate', known.id, known.jobs from ingress.deliveries as known where known.id = others;
    return;
  end if;

  update ingress.deliveries as mine
  set latency_ms = case
    when durable_before[1] then took[1]
    else took[1] + extract(epoch from clock_timestamp() - statement_timestamp()) * 1000
  end
  where mine.id = ids[1];
  if cardinality(streams) > 0 then
    perform log.append(streams, array_fill(0, array[cardinality(streams)]),
      array(select generate_series(1, cardinality(streams))), array_fill(1, array[cardinality(streams)]),
      event_ids, event_types, array_fill(1::smallint, array[cardinality(streams)]), occurrences,
      event_data, event_metadata);
  end if;
  return query select 1, 'new', ids[1], all_jobs[1];
end $$;

-- For processes from before, until they are replaced.
create or replace function ingress.accept_deliveries(
  ids uuid[], received timestamptz[], sources text[], providers text[], delivery_ids text[], keys text[],
  hashes bytea[], same_body_counts boolean[], events text[], actions text[], outcomes text[], reasons text[],
  repositories text[], all_triggers json[], all_jobs json[], all_headers json[], bodies bytea[],
  event_deliveries integer[], streams text[], event_ids uuid[], event_types text[], occurrences timestamptz[],
  event_data json[], event_metadata json[]
) returns table (delivery integer, status text, id uuid, jobs json)
language sql as $$
  select * from ingress.accept_deliveries(
    ids, received, sources, providers, delivery_ids, keys, hashes, same_body_counts, events, actions, outcomes, reasons,
    repositories, all_triggers, all_jobs, all_headers, bodies,
    array_fill(null::real, array[cardinality(ids)]), array_fill(true, array[cardinality(ids)]),
    event_deliveries, streams, event_ids, event_types, occurrences, event_data, event_metadata);
$$;
