-- Retention, searching and reconciling of deliveries.

-- The body goes first; the row stays for as long as a host may send the delivery again, so that it is known.
alter table ingress.deliveries alter column body drop not null;
alter table ingress.deliveries add column body_removed_at timestamptz;
-- Not valid: the rows that are there have their bodies, and are not read for it.
alter table ingress.deliveries
  add constraint deliveries_body_or_date check ((body is null) = (body_removed_at is not null)) not valid;

comment on column ingress.deliveries.body is 'The exact bytes; null once retention has removed them.';

create index deliveries_source on ingress.deliveries (source, received_at desc, id desc);
create index deliveries_repository on ingress.deliveries (repository, received_at desc, id desc)
  where repository is not null;
create index deliveries_event on ingress.deliveries (event, received_at desc, id desc);
create index deliveries_not_accepted on ingress.deliveries (received_at desc, id desc)
  where outcome <> 'accepted';

-- What the reconciler has asked a host to send again: it asks once.
create table ingress.reconciled (
  source       text        not null collate "C",
  delivery_id  text        not null collate "C",
  requested_at timestamptz not null default clock_timestamp(),
  primary key (source, delivery_id)
);
