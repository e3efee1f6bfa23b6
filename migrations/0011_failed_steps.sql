-- Steps that failed for good are shown beside the completed ones: version 2 of the projection of jobs.

-- The tables that are there get the columns, so that the views of `read` have them before the rebuild is done, and
-- so that a program of before goes on writing into them.
do $$
declare
  step_table text;
begin
  for step_table in
    select format('projections.job_steps_%s', generation) from projections.generations
    where name = 'jobs' and 'job_steps' = any (tables)
  loop
    execute format(
      'alter table %s add column status text not null default ''COMPLETED'' collate "C", add column error text',
      step_table);
  end loop;
  select format('projections.job_steps_%s', generation) into step_table from projections.generations
  where name = 'jobs' and state = 'LIVE';
  execute format('create or replace view read.job_steps as select * from %s', step_table);
end
$$;

-- Without any event there is nothing to rebuild.
update projections.generations set version = 2
where name = 'jobs' and version = 1 and not exists (select from log.events);
