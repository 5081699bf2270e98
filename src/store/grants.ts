import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely'
import { Failure } from '../failure.ts'
import type { Database } from './schema.ts'

type Privilege = 'select' | 'insert' | 'update' | 'delete'

const ALL = ['select', 'insert', 'update', 'delete'] as const

/** What the running service may do. What is only ever appended to, it can neither change nor delete. */
export const SERVICE_PRIVILEGES = {
  tenants: ['select', 'insert', 'update'],
  settings: ALL,
  types: ALL,
  policies: ALL,
  roles: ALL,
  role_edges: ALL,
  rules: ALL,
  policy_references: ALL,
  entities: ALL,
  entity_parents: ALL,
  assignments: ALL,
  capabilities: ALL,
  capability_references: ALL,
  permission_requests: ['select', 'insert', 'update'],
  api_keys: ALL,
  issuers: ALL,
  quotas: ALL,
  quota_counters: ALL,
  quota_refunds: ['select', 'insert', 'delete'],
  api_key_index: ['select', 'insert', 'delete'],
  signing_keys: ['select', 'insert', 'update'],
  policy_changes: ['select', 'insert'],
  idempotency_keys: ALL,
  audit_writers: ['select', 'insert', 'update'],
  audit_outbox: ALL,
  audit: ['select', 'insert'],
  audit_tree: ['select', 'insert'],
  audit_checkpoints: ['select', 'insert'],
  audit_keys: ['select', 'insert'],
  audit_pruned: ['select'],
  deployment_key: ['select', 'insert', 'update'],
  passwords: ALL,
  totps: ALL,
  recovery_codes: ALL,
  sessions: ALL,
  refresh_tokens: ALL,
  revoked_tokens: ['select', 'insert', 'delete'],
  login_throttles: ALL,
  contexts: ALL,
} satisfies Record<keyof Database, readonly Privilege[]>

// Two transactions that grant on the same table at once fail with "tuple concurrently updated".
const LOCK_ID = 7_310_868_735_423_406

/** A role of the database, and what it is for. The password, if it is known, is for making it where it is missing. */
export interface Role {
  readonly user: string
  readonly password?: string
}

/** Gives the service's role exactly these rights, whatever it had before. For the owner of the tables to run. */
export function grantService(db: Kysely<Database>, role: Role): Promise<void> {
  return grant(db, role, 'the service', grantStatements(role.user))
}

/** Gives the role that prunes the right to look and to prune, and no other. */
export function grantPruner(db: Kysely<Database>, role: Role): Promise<void> {
  return grant(db, role, 'pruning', prunerStatements(role.user))
}

async function grant(
  db: Kysely<Database>,
  role: Role,
  purpose: string,
  statements: RawBuilder<unknown>[],
): Promise<void> {
  const { user } = role
  await db.transaction().execute(async (trx) => {
    await sql`select set_config('lock_timeout', '60s', true), pg_advisory_xact_lock(${LOCK_ID})`.execute(trx)
    const known = await sql<{
      own: boolean
    }>`select rolname = current_user as own from pg_roles where rolname = ${user}`.execute(trx)
    if (known.rows[0] === undefined) await makeRole(trx, role, purpose)
    // The owner needs no rights, and revoking his own would leave the service with less than it needs.
    if (known.rows[0]?.own === true) return
    for (const statement of statements) await statement.execute(trx)
  })
}

/** Makes a role that is missing, where its password is known and the owner may; else says what somebody has to run. */
async function makeRole(trx: Transaction<Database>, { user, password }: Role, purpose: string): Promise<void> {
  const may = await sql<{ may: boolean }>`
    select rolcreaterole or rolsuper as may from pg_roles where rolname = current_user`.execute(trx)
  const attributes = 'login nosuperuser nocreatedb nocreaterole noreplication nobypassrls'
  if (password === undefined || password === '' || may.rows[0]?.may !== true) {
    throw new Failure('unsafe_configuration', `the database has no role "${user}" for ${purpose}`, {
      problems: [{ pointer: '', detail: `as one who may, run: create role "${user}" ${attributes} password '…'` }],
    })
  }
  await sql`create role ${sql.id(user)} ${sql.raw(attributes)} password ${sql.lit(password)}`.execute(trx)
}

/**
 * Neither role needs tables of its own. Only who owns the database may say so of it; where that is somebody else, the
 * rights on it are theirs to give.
 */
const NO_TEMPORARY_TABLES = sql`
  do $$ begin
    if (select pg_has_role(current_user, datdba, 'usage') from pg_database where datname = current_database()) then
      execute format('revoke temporary on database %I from public', current_database());
    end if;
  end $$`

function prunerStatements(user: string): RawBuilder<unknown>[] {
  const role = sql.id(user)
  return [
    sql`revoke all on all tables in schema public from ${role}`,
    sql`revoke all on all functions in schema public from ${role}`,
    sql`revoke create on schema public from public, ${role}`,
    NO_TEMPORARY_TABLES,
    sql`grant usage on schema public to ${role}`,
    sql`grant select on audit, audit_writers, audit_pruned, audit_checkpoints, audit_keys, deployment_key to ${role}`,
    sql`grant execute on function prune_audit(text, timestamptz, uuid, jsonb, text, text, uuid, text) to ${role}`,
  ]
}

function grantStatements(user: string): RawBuilder<unknown>[] {
  const role = sql.id(user)
  const tables = Object.entries(SERVICE_PRIVILEGES).map(
    ([table, privileges]) => sql`grant ${sql.raw(privileges.join(', '))} on ${sql.id(table)} to ${role}`,
  )
  return [
    sql`revoke all on all tables in schema public from ${role}`,
    sql`revoke all on all functions in schema public from ${role}`,
    sql`revoke create on schema public from public, ${role}`,
    NO_TEMPORARY_TABLES,
    sql`grant usage on schema public to ${role}`,
    ...tables,
    sql`grant select on migration_files to ${role}`,
    sql`grant execute on function ensure_audit_partitions(timestamptz) to ${role}`,
  ]
}
