import { createHash } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type { Parts } from '../../src/administration/write.ts'
import {
  type Administration,
  type CredentialParts,
  createAdministration,
  type Write,
} from '../../src/administration.ts'
import { Redactor } from '../../src/audit/redactor.ts'
import { passwordHasher } from '../../src/authn/password/hasher.ts'
import { Failure, type FailureCode } from '../../src/failure.ts'
import { PolicyIndex } from '../../src/policy/policy-index.ts'
import type { TenantDatabase } from '../../src/store/database.ts'
import type { Database } from '../../src/store/schema.ts'
import { freshDatabase } from '../support/database.ts'

export const NO_ORIGIN = { ip: null, user_agent: null, request_id: null, trace_id: null }
export const FIRST_PAGE = { limit: 50 }

export interface Bench {
  readonly db: TenantDatabase
  readonly administration: Administration
  /** What was announced, in order. */
  readonly announced: { tenant: string; id: string; event: string }[]
  /** What went wrong without undoing anything. */
  readonly warnings: unknown[]
  readonly waited: { tenant: string; revision: number }[]
  /** Whether what is written is in force in time. */
  inForce: boolean
  readonly url: string
  /** The same administration over other connections. */
  on(db: TenantDatabase): Administration
  /** The clock; it can be set. */
  now: Date
  /** What announcing does instead of noting. */
  announce: ((tenant: string, id: string, event: string) => Promise<void>) | null
  close(): Promise<void>
}

const WRITER = '01990000-0000-7000-8000-000000000000'

/** A database of its own with the tenants `system` and `acme`, and administration on it. */
export async function openBench(): Promise<Bench> {
  const { db, url, close } = await freshDatabase()
  await sql`insert into tenants (id, name) values ('system', 'System'), ('acme', 'Acme'), ('other', 'Other')`.execute(
    db,
  )
  await sql`insert into audit_writers (writer) values (${WRITER})`.execute(db)
  const bench: Omit<Bench, 'administration' | 'on'> = {
    db,
    announced: [],
    warnings: [],
    waited: [],
    inForce: true,
    url,
    now: new Date('2026-01-02T03:04:05.678Z'),
    announce: null,
    close,
  }
  const parts: Omit<Parts & CredentialParts, 'db'> = {
    hasher: passwordHasher(),
    masterKey: Buffer.alloc(32, 7),
    writer: WRITER,
    announce: async (tenant, id, event) => {
      if (bench.announce !== null) return bench.announce(tenant, id, event)
      bench.announced.push({ tenant, id, event })
    },
    applied: async (tenant, revision) => {
      bench.waited.push({ tenant, revision })
      return bench.inForce
    },
    vagueRules: async (tenant) => (await standing(db, tenant)).vague,
    faultOf: () => undefined,
    clock: () => bench.now,
    redactor: new Redactor(Buffer.alloc(32, 7)),
    warn: (error) => bench.warnings.push(error),
  }
  const on = (given: TenantDatabase) => createAdministration({ db: given, ...parts })
  return Object.assign(bench, { administration: on(db), on })
}

/** A write of `acme` by its admin, unless something else is said. */
export function by(more: Partial<Write> = {}, ...roles: string[]): Write {
  return {
    caller: {
      tenant: 'acme',
      subject: { type: 'user', id: 'ada' },
      key_id: null,
      roles: roles.length > 0 ? roles : ['pdp:admin'],
    },
    tenant: 'acme',
    permission: { type: 'pdp:rule', action: 'pdp:write' },
    origin: NO_ORIGIN,
    reason: null,
    idempotency: null,
    if_match: null,
    ...more,
  }
}

/** A write of the tenant `system` by its operator, or by the operator in another tenant. */
export function operator(tenant = 'system', ...roles: string[]): Write {
  const caller = { tenant: 'system', subject: { type: 'user', id: 'root' }, key_id: 'rootkey' }
  return by({ caller: { ...caller, roles: roles.length > 0 ? roles : ['pdp:operator', 'pdp:admin'] }, tenant })
}

export function idempotent(key: string, request: string): Pick<Write, 'idempotency'> {
  return { idempotency: { key, request_sha256: createHash('sha256').update(request).digest() } }
}

const TABLES = [
  'tenants',
  'settings',
  'types',
  'policies',
  'roles',
  'role_edges',
  'rules',
  'policy_references',
  'entities',
  'entity_parents',
  'assignments',
  'capabilities',
  'capability_references',
  'permission_requests',
  'api_keys',
  'api_key_index',
  'passwords',
  'totps',
  'recovery_codes',
  'sessions',
  'policy_changes',
  'idempotency_keys',
  'audit_outbox',
] as const

/** All that is stored, as one text. */
export async function digest(db: Kysely<Database>): Promise<string> {
  const parts = await Promise.all(
    TABLES.map(async (table) => {
      const { rows } = await sql<{ all: string | null }>`
        select string_agg(t::text, E'\n' order by t::text) as all from ${sql.table(table)} t`.execute(db)
      return `${table}: ${rows[0]?.all}`
    }),
  )
  return parts.join('\n')
}

export async function revisionOf(db: Kysely<Database>, tenant = 'acme'): Promise<number> {
  const row = await db.selectFrom('tenants').select('revision').where('id', '=', tenant).executeTakeFirstOrThrow()
  return row.revision
}

/** The failure that the work comes to; it must come to one, and leave the store as it was. */
export async function refusal(
  bench: Bench,
  work: () => Promise<unknown>,
): Promise<{ code: FailureCode; pointers: string[]; message: string }> {
  const before = await digest(bench.db)
  const failure = await work().then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(failure instanceof Failure)) throw failure ?? new Error('nothing was refused')
  if ((await digest(bench.db)) !== before) throw new Error('the refusal wrote something')
  return { code: failure.code, pointers: failure.problems.map(({ pointer }) => pointer), message: failure.message }
}

/** The rules of a tenant as a replica would have them in memory. */
async function standing(db: Kysely<Database>, tenant: string): Promise<PolicyIndex> {
  const stored = await db.selectFrom('rules').select('body').where('tenant_id', '=', tenant).execute()
  const index = new PolicyIndex()
  for (const { body } of stored) {
    index.apply({ kind: 'rule', key: { name: body.name }, operation: 'create', before: null, after: body })
  }
  return index
}
