import type { ColumnType, Generated, GeneratedAlways, JSONColumnType } from 'kysely'
import type { GivenCapability } from '../policy/capability.ts'
import type { Issuer } from '../policy/issuer.ts'
import type { EntityRef, EntityType, Policy, Properties, Role, Rule, Settings } from '../policy/model.ts'
import type { GivenPermissionRequest } from '../policy/permission-request.ts'
import type { Quota } from '../policy/quota.ts'

/** The tables, as `migrations/` makes them. `int8` arrives as a number, `timestamptz` as a Date, `bytea` as a Buffer. */
export interface Database {
  tenants: TenantTable
  settings: { tenant_id: string; body: Json<Settings>; version: Generated<number>; updated_at: GeneratedInstant }
  types: DocumentTable<EntityType>
  policies: DocumentTable<Policy>
  roles: DocumentTable<Role>
  role_edges: { tenant_id: string; role: string; base: string }
  rules: DocumentTable<Rule> & { policy: string; effect: 'allow' | 'deny' }
  policy_references: {
    tenant_id: string
    owner_kind: 'rule' | 'role' | 'quota'
    owner: string
    kind: 'role' | 'subject' | 'within'
    type: Generated<string>
    id: string
  }
  entities: EntityTable
  entity_parents: {
    tenant_id: string
    type: string
    id: string
    ordinal: number
    parent_type: string
    parent_id: string
  }
  assignments: AssignmentTable
  capabilities: CapabilityTable
  capability_references: {
    tenant_id: string
    capability: string
    kind: 'subject' | 'within' | 'resource'
    type: string
    id: string
  }
  permission_requests: PermissionRequestTable
  api_keys: ApiKeyTable
  issuers: DocumentTable<Issuer> & { issuer: string }
  quotas: DocumentTable<Quota>
  quota_counters: {
    tenant_id: string
    quota: string
    window_seconds: number
    window_start: Date
    counter: Buffer
    reserved: number
    asked: number[]
    granted: number
    expires_at: Date
  }
  quota_refunds: {
    tenant_id: string
    quota: string
    decision_id: string
    units: number
    expires_at: Date
    refunded_at: GeneratedInstant
  }
  api_key_index: { id: string; tenant_id: string }
  signing_keys: {
    kid: string
    algorithm: string
    public_jwk: Json<Properties>
    sealed: Buffer
    created_at: GeneratedInstant
    retired_at: Date | null
    revoked_at: NullableInstant
  }
  policy_changes: PolicyChangeTable
  idempotency_keys: {
    tenant_id: string
    caller: string
    key: string
    request_sha256: Buffer
    status: number
    headers: Json<Record<string, string>>
    body: NullableJson
    created_at: GeneratedInstant
  }
  audit_writers: { writer: string; position: Generated<number>; started_at: GeneratedInstant; closed_at: Date | null }
  audit_outbox: { tenant_id: string; id: string; writer: string | null; event: string; created_at: GeneratedInstant }
  audit: AuditTable
  audit_tree: { writer: string; level: number; first: number; hashes: Buffer; at: GeneratedInstant }
  audit_checkpoints: {
    writer: string
    size: number
    final: boolean
    root: Buffer
    note: string
    writers: Json<KnownLogs>
    at: GeneratedInstant
  }
  audit_keys: {
    name: string
    id: string
    public_key: Buffer
    sealed: Buffer
    created_at: GeneratedInstant
    endorsement: string | null
  }
  audit_pruned: AuditPrunedTable
  deployment_key: { one: Generated<boolean>; sealed: Buffer; sealed_at: GeneratedInstant }
  passwords: PasswordTable
  totps: TotpTable
  recovery_codes: SubjectColumns & { sha256: Buffer; used_at: NullableInstant }
  sessions: SessionTable
  refresh_tokens: {
    tenant_id: string
    sha256: Buffer
    session_id: string
    created_at: GeneratedInstant
    used_at: NullableInstant
  }
  revoked_tokens: { id: string; xid: Generated<string>; expires_at: GeneratedInstant }
  login_throttles: {
    key: Buffer
    failures: Generated<number>
    locks: Generated<number>
    locked_until: NullableInstant
    admitted: string | null
    known_until: NullableInstant
    updated_at: GeneratedInstant
  }
  contexts: ContextTable
}

/** The logs that a checkpoint tells of: all, or what changed. A root is in base64. */
export interface KnownLogs {
  readonly whole: boolean
  readonly logs: readonly (readonly [writer: string, size: number, root: string])[]
}

type Json<T> = JSONColumnType<T & object, string, string>
type NullableJson = ColumnType<unknown, string | null, string | null>
type GeneratedInstant = ColumnType<Date, Date | string | undefined, Date | string>
type NullableInstant = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>

interface TenantTable {
  id: string
  name: string
  status: Generated<'active' | 'suspended' | 'deleted'>
  revision: Generated<number>
  revision_id: Generated<string>
  version: Generated<number>
  created_at: GeneratedInstant
  updated_at: GeneratedInstant
}

/** A document kept whole in `body`, with what is asked of it by SQL beside it. */
interface DocumentTable<T> {
  tenant_id: string
  name: string
  body: Json<T>
  version: Generated<number>
  created_at: GeneratedInstant
  updated_at: GeneratedInstant
}

interface EntityTable {
  tenant_id: string
  type: string
  id: string
  properties: Json<Properties>
  disabled: Generated<boolean>
  from_bundle: Generated<boolean>
  version: Generated<number>
  created_at: GeneratedInstant
  updated_at: GeneratedInstant
}

interface AssignmentTable {
  tenant_id: string
  id: string
  subject_type: string
  subject_id: string
  role: string
  within_type: string | null
  within_id: string | null
  valid_from: NullableInstant
  valid_until: NullableInstant
  granted_by: Json<{ type: string; id: string }>
  reason: string | null
  from_bundle: Generated<boolean>
  created_at: GeneratedInstant
}

interface CapabilityTable {
  tenant_id: string
  id: string
  subject_type: string
  subject_id: string
  granter_type: string
  granter_id: string
  from_id: string | null
  root_id: string
  depth: number
  expires_at: GeneratedInstant
  revoked_at: NullableInstant
  revoked_by: NullableJson
  ended_at: GeneratedAlways<Date>
  body: Json<GivenCapability>
  version: number
  granted_at: GeneratedInstant
  updated_at: GeneratedInstant
}

interface PermissionRequestTable {
  tenant_id: string
  id: string
  asker_type: string
  asker_id: string
  subject_type: string
  subject_id: string
  state: GivenPermissionRequest['state']
  lapses_at: GeneratedInstant
  controllers: Json<EntityRef[]>
  body: Json<GivenPermissionRequest>
  version: number
  created_at: GeneratedInstant
  updated_at: GeneratedInstant
}

interface ApiKeyTable {
  tenant_id: string
  id: string
  name: string
  subject_type: string
  subject_id: string
  roles: string[] | null
  secret_sha256: Buffer
  expires_at: NullableInstant
  last_used_at: NullableInstant
  version: Generated<number>
  created_at: GeneratedInstant
  updated_at: GeneratedInstant
}

interface SubjectColumns {
  tenant_id: string
  subject_type: string
  subject_id: string
}

interface CredentialColumns extends SubjectColumns {
  version: number
  created_at: GeneratedInstant
  updated_at: GeneratedInstant
}

interface PasswordTable extends CredentialColumns {
  username: string
  username_key: string
  hash: string
}

interface TotpTable extends CredentialColumns {
  sealed: Buffer | null
  pending: Buffer | null
  last_step: Generated<number>
}

interface SessionTable extends SubjectColumns {
  id: string
  method: string
  created_at: GeneratedInstant
  used_at: GeneratedInstant
  expires_at: GeneratedInstant
  revoked_at: NullableInstant
}

interface ContextTable extends SubjectColumns {
  id: string
  parents: string[]
  body: Json<Properties>
  created_by: Json<{ type: string; id: string }>
  created_at: GeneratedInstant
  expires_at: GeneratedInstant
  revoked_at: NullableInstant
}

interface PolicyChangeTable {
  tenant_id: string
  revision: number
  ordinal: number
  revision_id: string
  actor: Json<{ type: string; id: string }>
  reason: string | null
  kind: string
  key: NullableJson
  operation: 'create' | 'update' | 'delete'
  before: NullableJson
  after: NullableJson
  at: GeneratedInstant
}

interface AuditPrunedTable {
  id: string
  partition: string
  writer: string
  first_seq: number
  next_seq: number
  records: number
  pruned_at: GeneratedInstant
  pruned_by: Generated<string>
  statement: string
  signed: string | null
}

interface AuditTable {
  tenant_id: string
  at: Date
  id: string
  writer: string
  seq: number
  type: string
  actor_type: string | null
  actor_id: string | null
  subject_type: string | null
  subject_id: string | null
  action: string | null
  resource_type: string | null
  resource_id: string | null
  decision: boolean | null
  reason: string | null
  rules: string[] | null
  ip: string | null
  request_id: string | null
  trace_id: string | null
  record: Buffer
  subject_hash: GeneratedAlways<number | null>
  resource_hash: GeneratedAlways<number | null>
}
