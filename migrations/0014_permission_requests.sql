-- Permission requests: asked by one, decided by another. `body` is the whole of one, as the change log has it.
create table permission_requests (
  tenant_id text not null references tenants,
  id uuid not null,
  asker_type text collate "C" not null,
  asker_id text collate "C" not null,
  subject_type text collate "C" not null,
  subject_id text collate "C" not null,
  -- A pending one is over when it lapses: nothing writes that down.
  state text not null check (state in ('pending', 'approved', 'refused', 'withdrawn')),
  lapses_at timestamptz not null,
  -- Who else could have asked by the credential that was used: who made the key, or set the password.
  controllers jsonb not null,
  body jsonb not null,
  version bigint not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (tenant_id, id)
);
create index permission_requests_asker on permission_requests (tenant_id, asker_type, asker_id, id);
create index permission_requests_subject on permission_requests (tenant_id, subject_type, subject_id, id);
create index permission_requests_pending on permission_requests (tenant_id, id) where state = 'pending';

-- Who made a key, and who set a password, is asked of the log.
create index policy_changes_credentials on policy_changes (tenant_id, revision)
  where kind in ('api_key', 'credential', 'issuer');

select wall_tenants_off();
