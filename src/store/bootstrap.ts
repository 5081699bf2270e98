import { sql, type Transaction } from 'kysely'
import { v7 as uuidv7 } from 'uuid'
import { type AuditEvent, NO_CALL } from '../audit/event.ts'
import { type ApiKeyParts, parseApiKey, secretHash } from '../authn/api-key.ts'
import { Failure } from '../failure.ts'
import type { ApiKeyFacts, PolicyChange } from '../policy/change.ts'
import { deleteApiKeys, getApiKey, insertApiKey } from './api-keys.ts'
import { appendChange } from './changes.ts'
import { isUnavailable, type TenantDatabase } from './database.ts'
import type { Stamp } from './documents.ts'
import { owe } from './outbox.ts'
import type { Database } from './schema.ts'
import { insertTenant, lockTenant } from './tenants.ts'

export const SYSTEM = 'system'
export const DEFAULT = 'default'

/** Who makes what stands before anybody has a credential. */
export const BOOTSTRAP = { type: 'pdp:process', id: 'bootstrap' } as const

export interface BootstrapKeys {
  readonly rootKey: string
  /** undefined: none is made, and one that is there stays. */
  readonly adminKey: string | undefined
}

interface BootstrapKey {
  readonly variable: string
  readonly tenant: string
  readonly subject: string
  readonly roles: readonly string[]
}

const ROOT: BootstrapKey = {
  variable: 'VERDICT_ROOT_KEY',
  tenant: SYSTEM,
  subject: 'root',
  roles: ['pdp:operator', 'pdp:admin'],
}
const ADMIN: BootstrapKey = { variable: 'VERDICT_ADMIN_KEY', tenant: DEFAULT, subject: 'admin', roles: ['pdp:admin'] }

/**
 * Makes what the first start needs, and gives the two keys the values that are configured now. Safe when several
 * replicas do it at once. Each write is a revision like any other, with its record in the outbox.
 * @returns whether this call found the database empty.
 */
export async function bootstrap(db: TenantDatabase, keys: BootstrapKeys, clock: () => Date): Promise<boolean> {
  const made = await patiently(() =>
    db
      .of(SYSTEM)
      .transaction()
      .execute((trx) => makeTenants(trx, clock())),
  )
  await patiently(() =>
    db
      .of(ROOT.tenant)
      .transaction()
      .execute((trx) => settleKey(trx, ROOT, keys.rootKey, clock())),
  )
  const { adminKey } = keys
  if (adminKey !== undefined) {
    await patiently(() =>
      db
        .of(ADMIN.tenant)
        .transaction()
        .execute((trx) => settleKey(trx, ADMIN, adminKey, clock())),
    )
  }
  return made
}

/** Replicas that start at once wait for one another longer than a statement may take. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!isUnavailable(error) || attempt === 5) throw error
    }
  }
}

async function makeTenants(trx: Transaction<Database>, at: Date): Promise<boolean> {
  // Another replica's row that is not committed yet is waited for, and then found.
  const made = await sql`
    insert into tenants (id, name, created_at, updated_at, version) values (${SYSTEM}, 'System', ${at}, ${at}, 1)
    on conflict do nothing`.execute(trx)
  if (made.numAffectedRows !== 1n) return false
  await insertTenant(trx, { id: DEFAULT, name: 'Default', version: 1, at })
  const changes = [created(SYSTEM, 'System'), created(DEFAULT, 'Default')]
  await record(trx, { tenant: SYSTEM, revision: 1, at }, 'pdp:tenant', SYSTEM, changes)
  return true
}

function created(id: string, name: string): PolicyChange {
  return { kind: 'tenant', key: { id }, operation: 'create', before: null, after: { id, name, status: 'active' } }
}

/** Makes the variable's key stand in its tenant, and those that it held before stand there no more. */
async function settleKey(trx: Transaction<Database>, which: BootstrapKey, text: string, at: Date): Promise<void> {
  const given = parsed(which, text)
  const tenant = await lockTenant(trx, which.tenant)
  if (tenant === undefined || tenant.status === 'deleted') return
  const standing = await standingKeys(trx, which)
  const same = standing.find((key) => key.id === given.id && key.secret_sha256.equals(secretHash(given.secret)))
  const former = standing.filter((key) => key !== same).map((key) => key.id)
  if (same !== undefined && former.length === 0) return

  const stamp = { tenant: tenant.id, revision: tenant.revision + 1, at }
  const changes: PolicyChange[] = []
  for (const id of former) {
    const before = (await getApiKey(trx, tenant.id, id))?.document ?? null
    changes.push({ kind: 'api_key', key: { id }, operation: 'delete', before, after: null })
  }
  await deleteApiKeys(trx, tenant.id, former)
  if (same === undefined) changes.push(await insertGiven(trx, which, given, stamp))
  await record(trx, stamp, 'pdp:api_key', given.id, changes)
}

async function insertGiven(
  trx: Transaction<Database>,
  { variable, subject, roles }: BootstrapKey,
  { id, secret }: ApiKeyParts,
  stamp: Stamp,
): Promise<PolicyChange> {
  const taken = await trx.selectFrom('api_key_index').select('tenant_id').where('id', '=', id).executeTakeFirst()
  if (taken !== undefined) {
    throw new Failure('unsafe_configuration', `${variable} has the id of another API key, ${id}: choose another id`)
  }
  const facts: ApiKeyFacts = { id, name: variable, subject: { type: 'service', id: subject }, roles, expires_at: null }
  await insertApiKey(trx, stamp, { ...facts, secret_sha256: secretHash(secret) })
  return { kind: 'api_key', key: { id }, operation: 'create', before: null, after: facts }
}

function parsed({ variable }: BootstrapKey, text: string): ApiKeyParts {
  const parts = parseApiKey(text)
  if (parts === undefined) throw new Failure('unsafe_configuration', `${variable} does not have the form of an API key`)
  return parts
}

// The literal of the partial index `policy_changes_bootstrap`, which only a constant lets Postgres use.
const byBootstrap = sql`actor = '{"id": "bootstrap", "type": "pdp:process"}'`

/** Keys that this variable has made. Others may bear its name, so the change log is asked who made them. */
async function standingKeys(trx: Transaction<Database>, { variable, tenant, subject }: BootstrapKey) {
  const { rows } = await sql<{ id: string; secret_sha256: Buffer }>`
    select id, secret_sha256 from api_keys
    where tenant_id = ${tenant} and subject_type = 'service' and subject_id = ${subject} and name = ${variable}
      and id in (
        select key ->> 'id' from policy_changes
        where tenant_id = ${tenant} and ${byBootstrap} and kind = 'api_key' and operation = 'create')`.execute(trx)
  return rows
}

async function record(
  trx: Transaction<Database>,
  { tenant, revision, at }: Stamp,
  type: string,
  id: string,
  changes: readonly PolicyChange[],
): Promise<void> {
  const reason = 'the configuration at start'
  await appendChange(trx, { tenant, actor: BOOTSTRAP, reason, at, changes })
  const event: AuditEvent = {
    id: uuidv7({ msecs: at.getTime() }),
    at: at.toISOString(),
    tenant,
    type: 'administration',
    actor: BOOTSTRAP,
    subject: BOOTSTRAP,
    action: { name: 'pdp:write' },
    resource: { type, id },
    context: { reason, changes: changes.map(({ kind, key, operation }) => ({ kind, key, operation })) },
    decision: true,
    reason: null,
    rules: [],
    obligations: [],
    revision,
    ...NO_CALL,
  }
  await owe(trx, null, event)
}
