-- Quotas: how much of something may be allowed. A document like a rule; what was taken of a counter stands beside it.
create table quotas (
  tenant_id text not null references tenants,
  name text collate "C" not null,
  body jsonb not null,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, name)
);

-- What names roles and entities literally: quotas too. Which kinds there are is said by what writes them.
alter table policy_references drop constraint policy_references_owner_kind_check;

-- One window of one counter: how many units have been reserved of it. Replicas take units from here in blocks and give
-- back what is left of them, so that `reserved` is never less than what was taken, and never more than the limit.
-- `counter` is a keyed hash of whom it counts. `asked` is what the last statement asked for (limit, units needed, units
-- wanted) and `granted` what it got: an insert that finds a row knows only what it would have inserted, and an update
-- that answers says what stands there after it, not what stood there before.
-- Nothing refers to tenants: a reservation must not wait for whoever holds the tenant's row.
create table quota_counters (
  tenant_id text not null,
  quota text collate "C" not null,
  window_seconds int not null,
  window_start timestamptz not null,
  counter bytea not null,
  reserved bigint not null check (reserved >= 0),
  asked bigint[] not null,
  granted bigint not null,
  expires_at timestamptz not null,
  primary key (tenant_id, quota, window_start, window_seconds, counter)
) with (fillfactor = 50);
create index quota_counters_expiry on quota_counters (tenant_id, expires_at);

-- What was given back of a decision: of each quota once. It stands for as long as its window could be refunded.
create table quota_refunds (
  tenant_id text not null,
  quota text collate "C" not null,
  decision_id uuid not null,
  units bigint not null check (units > 0),
  expires_at timestamptz not null,
  refunded_at timestamptz not null default now(),
  primary key (tenant_id, quota, decision_id)
);
create index quota_refunds_expiry on quota_refunds (tenant_id, expires_at);

select wall_tenants_off();
