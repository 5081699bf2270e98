-- Security contexts: what was signed, never the token. They are no policy data: none of them changes what is decided of
-- anybody else. Those that are revoked stand in revoked_tokens as well, which every replica reads.
create table contexts (
  tenant_id text not null references tenants,
  id uuid not null,
  -- What it was narrowed from, the first one first. It is worth nothing once one of them is revoked.
  parents uuid[] not null,
  subject_type text collate "C" not null,
  subject_id text collate "C" not null,
  -- Level, quotas, capabilities, audience.
  body jsonb not null,
  created_by jsonb not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  primary key (tenant_id, id)
);
create index contexts_subject on contexts (tenant_id, subject_type, subject_id, id);
create index contexts_expiry on contexts (tenant_id, expires_at);

select wall_tenants_off();
