-- Which steps of a run are under way, as its worker last said; shown while that run has the job.
alter table dispatch.progress
  alter column percent drop not null,
  add column run_id text collate "C",
  add column steps  json;
