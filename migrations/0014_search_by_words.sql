-- Jobs are found by words with an index, and by each of their filters: version 3 of the projection of jobs.
do $$
declare
  jobs_table text;
  definition text;
begin
  -- So that the view of `read` has the column before the rebuild is done; until then a search finds nothing.
  for jobs_table in
    select format('projections.jobs_%s', generation) from projections.generations
    where name = 'jobs' and 'jobs' = any (tables)
  loop
    execute format('alter table %s add column words text not null default ''''', jobs_table);
  end loop;
  select format('projections.jobs_%s', generation) into jobs_table from projections.generations
  where name = 'jobs' and state = 'LIVE';
  execute format('create or replace view read.jobs as select * from %s', jobs_table);

  -- Without any event there is nothing to rebuild; otherwise the rebuild makes the indexes.
  if exists (select from log.events) then return; end if;
  foreach definition in array array[
    '(provider, requested_at, job_id)',
    '(pull_request, requested_at, job_id) where pull_request is not null',
    '(ref, requested_at, job_id) where ref is not null',
    '(sender, requested_at, job_id) where sender is not null',
    'using gin (array_to_tsvector(string_to_array(words, '' '')))'
  ] loop
    execute format('create index on %s %s', jobs_table, definition);
  end loop;
  update projections.generations set version = 3 where name = 'jobs' and version = 2;
end
$$;
