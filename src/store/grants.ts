import { type Kysely, sql } from 'kysely'
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
  api_keys: ALL,
  api_key_index: ['select', 'insert', 'delete'],
  signing_keys: ['select', 'insert', 'update'],
  policy_changes: ['select', 'insert'],
  idempotency_keys: ALL,
  audit_writers: ['select', 'insert', 'update'],
  audit_outbox: ALL,
  audit: ['select', 'insert'],
  passwords: ALL,
  totps: ALL,
  recovery_codes: ALL,
  sessions: ALL,
  refresh_tokens: ALL,
  revoked_tokens: ['select', 'insert', 'delete'],
  login_throttles: ALL,
} satisfies Record<keyof Database, readonly Privilege[]>

// Two transactions that grant on the same table at once fail with "tuple concurrently updated".
const LOCK_ID = 7_310_868_735_423_406

/** Gives the service's role exactly these rights, whatever it had before. For the owner of the tables to run. */
export async function grantService(db: Kysely<Database>, user: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await sql`select set_config('lock_timeout', '60s', true), pg_advisory_xact_lock(${LOCK_ID})`.execute(trx)
    const known = await sql<{
      own: boolean
    }>`select rolname = current_user as own from pg_roles where rolname = ${user}`.execute(trx)
    const role = known.rows[0]
    if (role === undefined)
      throw new Failure('unsafe_configuration', `the database has no role "${user}" for the service`)
    // The owner needs no rights, and revoking his own would leave the service with less than it needs.
    if (role.own) return
    const statements = grantStatements(user)
    for (const statement of statements) await statement.execute(trx)
  })
}

function grantStatements(user: string) {
  const role = sql.id(user)
  const tables = Object.entries(SERVICE_PRIVILEGES).map(
    ([table, privileges]) => sql`grant ${sql.raw(privileges.join(', '))} on ${sql.id(table)} to ${role}`,
  )
  return [
    sql`revoke all on all tables in schema public from ${role}`,
    sql`revoke all on all functions in schema public from ${role}`,
    sql`revoke create on schema public from public, ${role}`,
    sql`grant usage on schema public to ${role}`,
    ...tables,
    sql`grant select on migration_files to ${role}`,
    sql`grant execute on function ensure_audit_partitions(timestamptz) to ${role}`,
  ]
}
