-- The Merkle trees over the writers' logs, and what was signed about them. Only ever appended to.

-- Hashes of a writer's tree that stand side by side. Level 0: the leaves, one row for each shipped batch, written with
-- it. Level n: the roots of 256 to the power of n leaves, written with the checkpoint that covers them. So any root and
-- any proof is made from few rows, and no index on `audit` is needed.
create table audit_tree (
  writer uuid not null,
  level smallint not null check (level >= 0),
  first bigint not null check (first >= 0),
  hashes bytea not null check (length(hashes) > 0 and length(hashes) % 32 = 0),
  at timestamptz not null default now(),
  primary key (writer, level, first)
);
-- Hashes do not compress, and a slice of what is stored plainly is read without the rest.
alter table audit_tree alter column hashes set storage external;

-- Signed checkpoints. `note` is the exact text; size, root and final are copies for searching. `writers` is the list of
-- known writers that the note has the hash of, whole, or what changed in it since this writer's checkpoint before:
-- {"whole": …, "logs": [[writer, size, root in base64], …]}.
create table audit_checkpoints (
  writer uuid not null,
  size bigint not null check (size >= 0),
  final boolean not null,
  root bytea not null check (length(root) = 32),
  note text not null,
  writers jsonb not null,
  at timestamptz not null default now(),
  primary key (writer, size, final)
);
create index audit_checkpoints_at on audit_checkpoints (at, writer, size, final);

-- Keys that sign checkpoints: the newest signs, all of them verify. `sealed` is the private JWK, AES-256-GCM under the
-- master key.
create table audit_keys (
  name text not null,
  id text not null,
  public_key bytea not null check (length(public_key) = 32),
  sealed bytea not null,
  created_at timestamptz not null default now(),
  primary key (name, id)
);
