-- The foundation: tenants and their policy, credentials, the change log, and the audit trail.
--
-- tenant_id leads every key of a tenant's own tables, so that they can be distributed by it (Citus). The four
-- tables that stand outside (tenants, api_key_index, signing_keys, audit_writers) hold no policy content.

create table tenants (
  id text primary key,
  name text not null,
  status text not null default 'active' check (status in ('active', 'suspended', 'deleted')),
  -- Gapless and in commit order: every write of policy data takes this row first.
  revision bigint not null default 0,
  -- Drawn anew with each revision: a restored or failed-over database shows the same number with another id.
  revision_id uuid not null default gen_random_uuid(),
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table settings (
  tenant_id text primary key references tenants,
  body jsonb not null default '{}',
  version bigint not null default 1,
  updated_at timestamptz not null default now()
);

create table types (
  tenant_id text not null references tenants,
  name text collate "C" not null,
  body jsonb not null,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, name)
);

create table policies (
  tenant_id text not null references tenants,
  name text collate "C" not null,
  body jsonb not null,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, name)
);

create table roles (
  tenant_id text not null references tenants,
  name text collate "C" not null,
  body jsonb not null,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, name)
);

-- Edges of `inherits` and of `derived.from`: cycles and "is it in use" are questions about edges.
create table role_edges (
  tenant_id text not null,
  role text collate "C" not null,
  base text collate "C" not null,
  primary key (tenant_id, role, base),
  foreign key (tenant_id, role) references roles on delete cascade
);
create index role_edges_base on role_edges (tenant_id, base);

create table rules (
  tenant_id text not null references tenants,
  name text collate "C" not null,
  policy text collate "C" not null,
  effect text not null check (effect in ('allow', 'deny')),
  body jsonb not null,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, name)
);
create index rules_policy on rules (tenant_id, policy, name);

-- What rules and permissions name literally (kind: role, subject, within). `owner_kind` is rule or role.
create table policy_references (
  tenant_id text not null references tenants,
  owner_kind text not null check (owner_kind in ('rule', 'role')),
  owner text collate "C" not null,
  kind text not null check (kind in ('role', 'subject', 'within')),
  type text collate "C" not null default '',
  id text collate "C" not null,
  primary key (tenant_id, owner_kind, owner, kind, type, id)
);
create index policy_references_target on policy_references (tenant_id, kind, type, id);

create table entities (
  tenant_id text not null references tenants,
  type text collate "C" not null,
  id text collate "C" not null,
  properties jsonb not null default '{}',
  disabled boolean not null default false,
  -- Of entities and assignments, a bundle deletes only those that an earlier bundle made.
  from_bundle boolean not null default false,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, type, id)
);

create table entity_parents (
  tenant_id text not null,
  type text collate "C" not null,
  id text collate "C" not null,
  ordinal int not null,
  parent_type text collate "C" not null,
  parent_id text collate "C" not null,
  primary key (tenant_id, type, id, ordinal),
  foreign key (tenant_id, type, id) references entities on delete cascade
);
create index entity_parents_parent on entity_parents (tenant_id, parent_type, parent_id);

create table assignments (
  tenant_id text not null references tenants,
  id uuid not null,
  subject_type text collate "C" not null,
  subject_id text collate "C" not null,
  role text collate "C" not null,
  within_type text collate "C",
  within_id text collate "C",
  valid_from timestamptz,
  valid_until timestamptz,
  granted_by jsonb not null,
  reason text,
  from_bundle boolean not null default false,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index assignments_subject on assignments (tenant_id, subject_type, subject_id, role);
create index assignments_role on assignments (tenant_id, role, subject_type, subject_id);
create index assignments_within on assignments (tenant_id, within_type, within_id) where within_id is not null;

-- A bundle asks which entities and assignments earlier bundles made, of how many there may be besides.
create index entities_from_bundle on entities (tenant_id, type, id) where from_bundle;
create index assignments_from_bundle on assignments (tenant_id, id) where from_bundle;

create table api_keys (
  tenant_id text not null references tenants,
  id text collate "C" not null,
  name text not null,
  subject_type text collate "C" not null,
  subject_id text collate "C" not null,
  -- null: the key holds what its subject holds; else exactly these built-in roles.
  roles text[],
  secret_sha256 bytea not null check (length(secret_sha256) = 32),
  expires_at timestamptz,
  last_used_at timestamptz,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index api_keys_subject on api_keys (tenant_id, subject_type, subject_id);

-- From a key's id to its tenant, before the tenant is known. Ids are unique in the deployment.
create table api_key_index (
  id text collate "C" primary key,
  tenant_id text not null references tenants
);

-- Keys that sign access tokens. `sealed` is the private JWK, AES-256-GCM under the master key.
create table signing_keys (
  kid text primary key,
  algorithm text not null,
  public_jwk jsonb not null,
  sealed bytea not null,
  created_at timestamptz not null default now(),
  retired_at timestamptz
);

-- Never pruned: from it any past revision can be rebuilt. One write is one revision and one or more rows.
create table policy_changes (
  tenant_id text not null references tenants,
  revision bigint not null,
  ordinal int not null,
  revision_id uuid not null,
  actor jsonb not null,
  reason text,
  kind text not null,
  key jsonb not null,
  operation text not null check (operation in ('create', 'update', 'delete')),
  before jsonb,
  after jsonb,
  at timestamptz not null default now(),
  primary key (tenant_id, revision, ordinal)
);
-- What the start of a process wrote: it asks which keys an earlier configuration made.
create index policy_changes_bootstrap on policy_changes (tenant_id)
  where actor = '{"id": "bootstrap", "type": "pdp:process"}';

create table idempotency_keys (
  tenant_id text not null references tenants,
  caller text not null,
  key text not null,
  request_sha256 bytea not null,
  status int not null,
  headers jsonb not null,
  body jsonb,
  created_at timestamptz not null default now(),
  primary key (tenant_id, caller, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);

-- One start of one process is a writer, with a log of its own. `position` is how many of its records are in
-- `audit`; it moves in the transaction that inserts them, so that shipping is exactly once.
create table audit_writers (
  writer uuid primary key,
  position bigint not null default 0,
  started_at timestamptz not null default now(),
  closed_at timestamptz
);

-- Records of administrative changes, written with the change. `writer` is the process that owes them to its log;
-- shipping the record from that log deletes the row, in one transaction.
create table audit_outbox (
  tenant_id text not null references tenants,
  id uuid not null,
  writer uuid,
  event text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index audit_outbox_writer on audit_outbox (writer);

-- `record` holds the exact recorded bytes; the other columns are copies for searching. `at` is the millisecond in
-- `id` (UUIDv7), so that an id alone names its partition.
create table audit (
  tenant_id text not null,
  at timestamptz not null,
  id uuid not null,
  writer uuid not null,
  seq bigint not null,
  type text not null,
  actor_type text collate "C",
  actor_id text collate "C",
  subject_type text collate "C",
  subject_id text collate "C",
  action text collate "C",
  resource_type text collate "C",
  resource_id text collate "C",
  decision boolean,
  reason text,
  rules text[],
  ip text,
  request_id text,
  trace_id text,
  record bytea not null,
  primary key (tenant_id, at, id)
) partition by range (at);
-- By hash: an id of 512 characters can be longer than an index entry may be (2,704 bytes), and a record that an
-- index refuses would hold up its whole log.
create index audit_subject on audit (tenant_id, hashtextextended(subject_id, 0), at, id);
create index audit_resource on audit (tenant_id, hashtextextended(resource_id, 0), at, id);
create index audit_denied on audit (tenant_id, at, id) where decision = false;
create table audit_default partition of audit default;

-- Makes the partitions of the month of `day` and of the two after it, in UTC. The service calls it without having
-- the right to make tables itself; pg_temp stands last, so that a caller's temporary tables stand in for nothing.
create function ensure_audit_partitions(day timestamptz default now()) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  start timestamp;
  partition text;
begin
  perform pg_advisory_xact_lock(7310868735423407);
  for step in 0..2 loop
    start := date_trunc('month', day at time zone 'utc') + make_interval(months => step);
    partition := 'audit_' || to_char(start, 'YYYY_MM');
    if to_regclass('public.' || partition) is null then
      begin
        execute format('create table public.%I partition of public.audit for values from (%L) to (%L)', partition,
                       start::text || '+00', (start + interval '1 month')::text || '+00');
      exception when check_violation then
        -- Rows of that month stand in the default partition already: they stay there, and so do the rest of it.
        raise notice 'records of % are kept in audit_default', partition;
      end;
    end if;
  end loop;
end $$;
revoke all on function ensure_audit_partitions(timestamptz) from public;
select ensure_audit_partitions();
