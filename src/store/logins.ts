import { type Kysely, sql } from 'kysely'
import type { Account, LoginStore, Standing } from '../authn/login.ts'
import type { AttemptKeys } from '../authn/throttle.ts'
import type { EntityRef } from '../policy/model.ts'
import type { TenantDatabase } from './database.ts'
import type { Database } from './schema.ts'
import { admit, countFailure, forgive } from './throttles.ts'
import { spendRecoveryCode, spendStep } from './totps.ts'

/** What logging in with a password reads and writes. */
export function loginStore(db: TenantDatabase): LoginStore {
  return {
    standing: (tenant, username, keys) => standing(db.of(tenant), tenant, username, keys),
    admit: (key, attempt) => admit(db, key, attempt),
    failedFrom: (address) => countFailure(db, address),
    succeeded: (forgiven, pair) => forgive(db, forgiven, pair),
    rehash: (tenant, subject, from, to) => rehash(db.of(tenant), tenant, subject, from, to),
    spendStep: (tenant, subject, step) => spendStep(db.of(tenant), tenant, subject, step),
    spendRecoveryCode: (tenant, subject, sha256) => spendRecoveryCode(db.of(tenant), tenant, subject, sha256),
  }
}

interface StandingRow {
  readonly is_tenant: boolean
  readonly subject_type: string | null
  readonly subject_id: string | null
  readonly hash: string | null
  readonly totp: Buffer | null
  readonly locked_s: number
  readonly known: boolean
}

async function standing(
  db: Kysely<Database>,
  tenant: string,
  username: string,
  { address, pair }: Pick<AttemptKeys, 'address' | 'pair'>,
): Promise<Standing> {
  const { rows } = await sql<StandingRow>`
    select t.id is not null as is_tenant, p.subject_type, p.subject_id, p.hash, o.sealed as totp,
           ceil(greatest(0, extract(epoch from a.locked_until - now())))::int as locked_s,
           coalesce(k.known_until > now(), false) as known
    from (select 1) one
    left join tenants t on t.id = ${tenant} and t.status <> 'deleted'
    left join passwords p on p.tenant_id = t.id and p.username_key = ${username}
    left join totps o on o.tenant_id = p.tenant_id and o.subject_type = p.subject_type and o.subject_id = p.subject_id
    left join login_throttles a on a.key = ${address}
    left join login_throttles k on k.key = ${pair}`.execute(db)
  const row = rows[0]
  if (row === undefined) throw new Error('a row of nothing was joined with nothing, and is gone')
  return {
    isTenant: row.is_tenant,
    account: accountOf(row),
    address_locked_s: row.locked_s ?? 0,
    isKnown: row.known,
  }
}

function accountOf({ subject_type: type, subject_id: id, hash, totp }: StandingRow): Account | undefined {
  if (type === null || id === null || hash === null) return undefined
  return { subject: { type, id }, hash, totp }
}

async function rehash(
  db: Kysely<Database>,
  tenant: string,
  { type, id }: EntityRef,
  from: string,
  to: string,
): Promise<void> {
  await sql`
    update passwords set hash = ${to}
    where tenant_id = ${tenant} and subject_type = ${type} and subject_id = ${id} and hash = ${from}`.execute(db)
}
