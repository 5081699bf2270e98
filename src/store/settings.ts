import { type Kysely, sql, type Transaction } from 'kysely'
import type { Settings } from '../policy/model.ts'
import type { Stamp } from './documents.ts'
import type { Database } from './schema.ts'

export interface StoredSettings {
  readonly document: Settings
  readonly version: number
  readonly updated_at: Date
}

/** A tenant's settings; undefined where it has set none. */
export async function getSettings(db: Kysely<Database>, tenant: string): Promise<StoredSettings | undefined> {
  const { rows } = await sql<StoredSettings>`
    select body as document, version, updated_at from settings where tenant_id = ${tenant}`.execute(db)
  return rows[0]
}

export async function putSettings(
  trx: Transaction<Database>,
  { tenant, revision, at }: Stamp,
  document: Settings,
): Promise<void> {
  await sql`
    insert into settings (tenant_id, body, version, updated_at)
    values (${tenant}, ${JSON.stringify(document)}, ${revision}, ${at})
    on conflict (tenant_id) do update
    set body = excluded.body, version = excluded.version, updated_at = excluded.updated_at`.execute(trx)
}
