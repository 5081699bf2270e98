-- Capabilities: what one subject may do to what, until when. `body` is the whole of one, as the change log has it.
create table capabilities (
  tenant_id text not null references tenants,
  id uuid not null,
  subject_type text collate "C" not null,
  subject_id text collate "C" not null,
  granter_type text collate "C" not null,
  granter_id text collate "C" not null,
  -- The one that it was granted out of, the one with which that began, and how many lie between.
  from_id uuid,
  root_id uuid not null,
  depth int not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  revoked_by jsonb,
  -- When it stopped, or is going to.
  ended_at timestamptz not null generated always as (least(expires_at, revoked_at)) stored,
  body jsonb not null,
  version bigint not null,
  granted_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (tenant_id, id)
);
create index capabilities_subject on capabilities (tenant_id, subject_type, subject_id, id);
create index capabilities_granter on capabilities (tenant_id, granter_type, granter_id, id);
create index capabilities_from on capabilities (tenant_id, from_id) where from_id is not null;
create index capabilities_root on capabilities (tenant_id, root_id);
create index capabilities_end on capabilities (tenant_id, ended_at);

-- What a capability names literally, until it is revoked: its subject, what its resources are within, and the types of
-- these (of a type, `id` is '').
create table capability_references (
  tenant_id text not null,
  capability uuid not null,
  kind text not null check (kind in ('subject', 'within', 'resource')),
  type text collate "C" not null,
  id text collate "C" not null,
  primary key (tenant_id, capability, kind, type, id),
  foreign key (tenant_id, capability) references capabilities on delete cascade
);
create index capability_references_target on capability_references (tenant_id, type, id, kind);

select wall_tenants_off();
