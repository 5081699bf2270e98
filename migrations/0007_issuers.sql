-- Trusted issuers of tokens. `issuer` is what `iss` says in their tokens: it names one registration of the tenant.
create table issuers (
  tenant_id text not null references tenants,
  name text collate "C" not null,
  issuer text collate "C" not null,
  body jsonb not null,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, name),
  unique (tenant_id, issuer)
);
