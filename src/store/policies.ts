import { type Kysely, sql } from 'kysely'
import type { Policy } from '../policy/model.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import { documentOf, documentTable, NameCursor, nameOf, type Stored } from './documents.ts'
import type { Database } from './schema.ts'

export const policies = documentTable<Policy>('policies')

/** A tenant's policies together with those of `defaults` that it has not set: these have version 0. */
export async function listPolicies(
  db: Kysely<Database>,
  tenant: string,
  defaults: readonly Policy[],
  page: Page,
): Promise<Listed<Stored<Policy>>> {
  const after = decodeCursor(page.cursor, NameCursor)?.[0] ?? ''
  const { rows } = await sql<Stored<Policy>>`
    select document, version, created_at, updated_at from (
      select name, ${documentOf(sql`body`)}, version, created_at, updated_at from policies where tenant_id = ${tenant}
      union all
      select built_in->>'name', built_in, 0, t.created_at, t.created_at
      from jsonb_array_elements(${JSON.stringify(defaults)}::jsonb) built_in
      join tenants t on t.id = ${tenant}
      where not exists (select from policies p where p.tenant_id = t.id and p.name = built_in->>'name')
    ) every
    where name collate "C" > ${after} order by name collate "C" limit ${page.limit + 1}`.execute(db)
  return paged(rows, page.limit, nameOf, (row) => row)
}

/** Names of rules of a policy, at most `limit`. */
export async function rulesOfPolicy(
  db: Kysely<Database>,
  tenant: string,
  policy: string,
  limit: number,
): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select name from rules where tenant_id = ${tenant} and policy = ${policy} order by name limit ${limit}`.execute(db)
  return rows.map((row) => row.name)
}
