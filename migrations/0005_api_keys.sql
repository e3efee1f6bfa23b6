-- Keys of the API that `jobledger apikeys create` made. The key itself is shown once and kept nowhere.
create schema access;

create table access.api_keys (
  id         uuid        primary key,
  name       text        not null unique,
  role       text        not null check (role in ('viewer', 'operator', 'admin')),
  key_sha256 bytea       not null unique,
  created_at timestamptz not null default clock_timestamp(),
  revoked_at timestamptz
);
