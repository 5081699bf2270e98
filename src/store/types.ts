import { type Kysely, sql } from 'kysely'
import type { EntityType } from '../policy/model.ts'
import { documentTable } from './documents.ts'
import type { Database } from './schema.ts'

export const types = documentTable<EntityType>('types')

/** Which of these types are declared `stored: never`: nothing of them may be stored or given a role. */
export async function neverStored(
  db: Kysely<Database>,
  tenant: string,
  names: readonly string[],
): Promise<ReadonlySet<string>> {
  const { rows } = await sql<{ name: string }>`
    select name from types
    where tenant_id = ${tenant} and name = any(${names}) and body->>'stored' = 'never'`.execute(db)
  return new Set(rows.map((row) => row.name))
}
