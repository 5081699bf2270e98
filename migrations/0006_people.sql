-- People: passwords, second factors, sessions, and what slows down who guesses.
--
-- login_throttles and revoked_tokens stand outside the tenants: they hold keyed hashes and random ids, nothing of a
-- tenant's policy, and are read before a tenant is known or for all tenants at once.

create table passwords (
  tenant_id text not null references tenants,
  subject_type text collate "C" not null,
  subject_id text collate "C" not null,
  username text collate "C" not null,
  -- The username as it is compared: NFKC, lower case.
  username_key text collate "C" not null,
  -- Argon2id, as a PHC string.
  hash text not null,
  version bigint not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (tenant_id, subject_type, subject_id)
);
create unique index passwords_username on passwords (tenant_id, username_key);

-- A secret that is not confirmed yet stands beside the one that it is to replace.
create table totps (
  tenant_id text not null references tenants,
  subject_type text collate "C" not null,
  subject_id text collate "C" not null,
  -- AES-256-GCM under the master key; null until the first secret is confirmed.
  sealed bytea,
  pending bytea,
  -- The time step of the last code that was taken: it and all before it are spent.
  last_step bigint not null default 0,
  version bigint not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (tenant_id, subject_type, subject_id)
);

create table recovery_codes (
  tenant_id text not null,
  subject_type text collate "C" not null,
  subject_id text collate "C" not null,
  sha256 bytea not null check (length(sha256) = 32),
  used_at timestamptz,
  primary key (tenant_id, subject_type, subject_id, sha256),
  foreign key (tenant_id, subject_type, subject_id) references totps on delete cascade
);

create table sessions (
  tenant_id text not null references tenants,
  id uuid not null,
  subject_type text collate "C" not null,
  subject_id text collate "C" not null,
  method text not null,
  created_at timestamptz not null,
  used_at timestamptz not null,
  -- The end that it was promised; the tenant's settings may have brought it nearer since.
  expires_at timestamptz not null,
  revoked_at timestamptz,
  primary key (tenant_id, id)
);
create index sessions_subject on sessions (tenant_id, subject_type, subject_id);
create index sessions_expiry on sessions (expires_at);

-- The tokens of a session are a family. Spent ones are kept as long as it: who shows one again has stolen it, or was
-- stolen from.
create table refresh_tokens (
  tenant_id text not null,
  sha256 bytea not null check (length(sha256) = 32),
  session_id uuid not null,
  created_at timestamptz not null,
  used_at timestamptz,
  primary key (tenant_id, sha256),
  foreign key (tenant_id, session_id) references sessions on delete cascade
);
create index refresh_tokens_session on refresh_tokens (tenant_id, session_id);

-- Sessions (and single access tokens) that ended before their access tokens did. Every replica reads what is new in
-- it each second: all rows of transactions that its last reading did not see the end of.
create table revoked_tokens (
  id uuid primary key,
  xid xid8 not null default pg_current_xact_id(),
  expires_at timestamptz not null
);

-- `key` is an HMAC under a key that is derived from the master key, of an address, an account or both.
create table login_throttles (
  key bytea primary key check (length(key) = 32),
  failures int not null default 0,
  locks int not null default 0,
  locked_until timestamptz,
  -- The last attempt that was let through.
  admitted uuid,
  -- Of an account and an address: a login succeeded from there, and until then it is known.
  known_until timestamptz,
  updated_at timestamptz not null
);
create index login_throttles_age on login_throttles (updated_at);
