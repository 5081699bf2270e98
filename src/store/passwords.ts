import { type Kysely, sql, type Transaction } from 'kysely'
import type { EntityRef } from '../policy/model.ts'
import type { Stamp } from './documents.ts'
import type { Database } from './schema.ts'

export interface StoredPassword {
  readonly username: string
  readonly hash: string
  readonly version: number
  readonly created_at: Date
  readonly updated_at: Date
}

export async function getPassword(
  db: Kysely<Database>,
  tenant: string,
  { type, id }: EntityRef,
): Promise<StoredPassword | undefined> {
  const { rows } = await sql<StoredPassword>`
    select username, hash, version, created_at, updated_at from passwords
    where tenant_id = ${tenant} and subject_type = ${type} and subject_id = ${id}`.execute(db)
  return rows[0]
}

/** Whose a username is. */
export async function ownerOfUsername(
  db: Kysely<Database>,
  tenant: string,
  usernameKey: string,
): Promise<EntityRef | undefined> {
  const { rows } = await sql<EntityRef>`
    select subject_type as type, subject_id as id from passwords
    where tenant_id = ${tenant} and username_key = ${usernameKey}`.execute(db)
  return rows[0]
}

export async function putPassword(
  trx: Transaction<Database>,
  { tenant, revision, at }: Stamp,
  { type, id }: EntityRef,
  password: { readonly username: string; readonly username_key: string; readonly hash: string },
): Promise<void> {
  const { username, username_key, hash } = password
  await sql`
    insert into passwords (tenant_id, subject_type, subject_id, username, username_key, hash, version, created_at,
                           updated_at)
    values (${tenant}, ${type}, ${id}, ${username}, ${username_key}, ${hash}, ${revision}, ${at}, ${at})
    on conflict (tenant_id, subject_type, subject_id) do update
    set username = excluded.username, username_key = excluded.username_key, hash = excluded.hash,
        version = excluded.version, updated_at = excluded.updated_at`.execute(trx)
}

export async function deletePassword(
  trx: Transaction<Database>,
  tenant: string,
  { type, id }: EntityRef,
): Promise<void> {
  await sql`
    delete from passwords
    where tenant_id = ${tenant} and subject_type = ${type} and subject_id = ${id}`.execute(trx)
}
