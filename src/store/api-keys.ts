import { type Kysely, sql, type Transaction } from 'kysely'
import type { ApiKeyFacts } from '../policy/change.ts'
import type { EntityRef } from '../policy/model.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import { NameCursor, type Stamp, type Stored } from './documents.ts'
import type { Database } from './schema.ts'

export interface StoredApiKey extends Stored<ApiKeyFacts> {
  readonly last_used_at: Date | null
}

interface ApiKeyRow {
  readonly id: string
  readonly name: string
  readonly subject_type: string
  readonly subject_id: string
  readonly roles: readonly string[] | null
  readonly expires_at: Date | null
  readonly last_used_at: Date | null
  readonly version: number
  readonly created_at: Date
  readonly updated_at: Date
}

// The hash is not among them: whoever administers keys has no use for it.
const members = sql`
  id, name, subject_type, subject_id, roles, expires_at, last_used_at, version, created_at, updated_at`

export async function getApiKey(db: Kysely<Database>, tenant: string, id: string): Promise<StoredApiKey | undefined> {
  const query = sql<ApiKeyRow>`select ${members} from api_keys where tenant_id = ${tenant} and id = ${id}`
  return (await query.execute(db)).rows.map(stored)[0]
}

/** @param madeBefore null: whenever they were made. */
export async function listApiKeys(
  db: Kysely<Database>,
  tenant: string,
  madeBefore: Date | null,
  page: Page,
): Promise<Listed<StoredApiKey>> {
  const after = decodeCursor(page.cursor, NameCursor)?.[0] ?? ''
  const { rows } = await sql<ApiKeyRow>`
    select ${members} from api_keys
    where tenant_id = ${tenant} and id > ${after} and created_at < coalesce(${madeBefore}::timestamptz, 'infinity')
    order by id limit ${page.limit + 1}`.execute(db)
  return paged(rows, page.limit, (row) => [row.id], stored)
}

/** Keys that act as the subject. */
export async function apiKeysOf(db: Kysely<Database>, tenant: string, subject: EntityRef): Promise<StoredApiKey[]> {
  const { rows } = await sql<ApiKeyRow>`
    select ${members} from api_keys
    where tenant_id = ${tenant} and subject_type = ${subject.type} and subject_id = ${subject.id}
    order by id`.execute(db)
  return rows.map(stored)
}

export async function insertApiKey(
  trx: Transaction<Database>,
  { tenant, revision, at }: Stamp,
  key: ApiKeyFacts & { readonly secret_sha256: Buffer },
): Promise<void> {
  const { id, name, subject, roles, expires_at, secret_sha256 } = key
  await trx.insertInto('api_key_index').values({ id, tenant_id: tenant }).execute()
  await trx
    .insertInto('api_keys')
    .values({
      tenant_id: tenant,
      id,
      name,
      subject_type: subject.type,
      subject_id: subject.id,
      roles: roles === null ? null : [...roles],
      secret_sha256,
      expires_at,
      version: revision,
      created_at: at,
      updated_at: at,
    })
    .execute()
}

export async function expireApiKey(
  trx: Transaction<Database>,
  { tenant, revision, at }: Stamp,
  id: string,
  until: Date,
): Promise<void> {
  await sql`
    update api_keys set expires_at = ${until}, version = ${revision}, updated_at = ${at}
    where tenant_id = ${tenant} and id = ${id}`.execute(trx)
}

/** Notes when keys were last used, never earlier than is known already. No revision: it is no policy. */
export async function noteUse(
  db: Kysely<Database>,
  tenant: string,
  uses: readonly { readonly id: string; readonly at: Date }[],
): Promise<void> {
  const [ids, instants] = [uses.map(({ id }) => id), uses.map(({ at }) => at)]
  await sql`
    update api_keys k set last_used_at = used.at
    from unnest(${ids}::text[], ${instants}::timestamptz[]) as used (id, at)
    where k.tenant_id = ${tenant} and k.id = used.id and k.last_used_at is distinct from used.at
      and used.at > coalesce(k.last_used_at, '-infinity')`.execute(db)
}

export async function deleteApiKeys(trx: Transaction<Database>, tenant: string, ids: readonly string[]): Promise<void> {
  await sql`delete from api_keys where tenant_id = ${tenant} and id = any(${ids})`.execute(trx)
  await sql`delete from api_key_index where tenant_id = ${tenant} and id = any(${ids})`.execute(trx)
}

function stored(row: ApiKeyRow): StoredApiKey {
  const { id, name, roles, expires_at, last_used_at, version, created_at, updated_at } = row
  const subject = { type: row.subject_type, id: row.subject_id }
  const document = { id, name, subject, roles, expires_at: expires_at?.toISOString() ?? null }
  return { document, last_used_at, version, created_at, updated_at }
}
