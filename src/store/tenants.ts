import { type Kysely, sql, type Transaction } from 'kysely'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import { NameCursor } from './documents.ts'
import type { Database } from './schema.ts'

export interface Tenant {
  readonly id: string
  readonly name: string
  readonly status: 'active' | 'suspended' | 'deleted'
  /** The tenant's own revision. */
  readonly revision: number
  readonly version: number
  readonly created_at: Date
  readonly updated_at: Date
}

const members = sql`id, name, status, revision, version, created_at, updated_at`

// Shorter than a statement may take, so that a writer which waits in vain learns why.
const LOCK_TIMEOUT = '700ms'

/**
 * Takes the tenant's row until the transaction ends: writes of one tenant come one after the other. A tenant that
 * is held for too long by another write is `store_unavailable`. Rows that refer to the tenant are not held up.
 */
export async function lockTenant(trx: Transaction<Database>, id: string): Promise<Tenant | undefined> {
  await sql`select set_config('lock_timeout', ${LOCK_TIMEOUT}, true)`.execute(trx)
  const { rows } = await sql<Tenant>`select ${members} from tenants where id = ${id} for no key update`.execute(trx)
  return rows[0]
}

/** A tenant, deleted or not. */
export async function getTenant(db: Kysely<Database>, id: string): Promise<Tenant | undefined> {
  const { rows } = await sql<Tenant>`select ${members} from tenants where id = ${id}`.execute(db)
  return rows[0]
}

/** Tenants that are not deleted. */
export async function listTenants(db: Kysely<Database>, page: Page): Promise<Listed<Tenant>> {
  const after = decodeCursor(page.cursor, NameCursor)?.[0] ?? ''
  const { rows } = await sql<Tenant>`
    select ${members} from tenants
    where status <> 'deleted' and id collate "C" > ${after} order by id collate "C" limit ${page.limit + 1}`.execute(db)
  return paged(
    rows,
    page.limit,
    (row) => [row.id],
    (row) => row,
  )
}

export async function insertTenant(
  trx: Transaction<Database>,
  tenant: { readonly id: string; readonly name: string; readonly version: number; readonly at: Date },
): Promise<void> {
  const { id, name, version, at } = tenant
  await trx.insertInto('tenants').values({ id, name, version, created_at: at, updated_at: at }).execute()
}

export async function updateTenant(
  trx: Transaction<Database>,
  tenant: Pick<Tenant, 'id' | 'name' | 'status' | 'version'> & { readonly at: Date },
): Promise<void> {
  const { id, name, status, version, at } = tenant
  await trx.updateTable('tenants').set({ name, status, version, updated_at: at }).where('id', '=', id).execute()
}
